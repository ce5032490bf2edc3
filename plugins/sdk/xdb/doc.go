// Package xdb is how a module stores things, and how a module is a store.
//
// A store keeps items. An item has an owner, which is a JID, a domain or "" for
// the server itself; a namespace; a key; and a value, which is XML. A
// namespace is a map in the order of its keys: whoever knows a key puts, gets
// and deletes, and whoever keeps an archive or a queue appends, which lets the
// store give a key greater than all before, and queries a page at a time.
//
//	store := xdb.New(env, "example.org")
//	rev, err := store.Put(ctx, "ann@example.org", "roster", "bob@example.org", value)
//	item, found, err := store.Get(ctx, "ann@example.org", "roster", "bob@example.org")
//
// Each change gives an item a new revision. A change with Check happens only
// if the item still has the revision that the asker knew (compare and set).
// Several changes of one owner are all made or none ([Store.Batch]).
//
// [Store] is the asking side. [Serve] makes the answering side, a
// packet.Handler, of a [Backend]; package xdb/conformance tests one.
//
// # Packets
//
// A question is a packet of kind XDB: To the owner, From who asks, NS the
// namespace, Name the operation, Type get if it changes nothing and set if it
// does, Body as below. Body is XML in which elements of this protocol have no
// namespace, so that people, filters and programs in any language can read it.
//
//	Name       Type  NS            Body
//	get        get   needed        <item key='K'/> ...; without any, the whole namespace
//	query      get   needed        <query after='K' before='K' start='TIME' end='TIME' with='JID'
//	                               max='N' reverse='true' count='true' values='false'/>; all may be left out
//	list       get   needed        as query; keys and revisions without values
//	list       get   ""            empty: the namespaces of the owner
//	owners     get   may be ""     <owners after='JID' max='N'/>: who has items, in the order of bytes; To is the domain
//	put        set   needed        <put key='K' with='JID'>VALUE</put> ...
//	delete     set   needed        <delete key='K'/> ...
//	append     set   needed        <append key='K' with='JID'>VALUE</append> ...; without key the store gives it
//	cas        set   needed        put and delete with was='REV'; was='' is that there must be none
//	batch      set   may be ""     any of put, delete and append, with ns='NS' if NS is ""
//	drop       set   may be ""     <drop before='K'/>: what sorts before K; without before, all
//
// The answer goes back with Type result, or the asker gets a *packet.Reject:
// conflict if a revision was another or an appended key was there,
// bad-request, resource-constraint, or what the store has to say. That
// something is not there is no error; it is not in the answer.
//
//	Name                      Body of the answer
//	get                       <item key='K' rev='REV' with='JID'>VALUE</item> ..., in the order of keys asked for
//	query, list               <item .../> ... <page count='N' more='true'/>
//	list of namespaces        <namespace name='NS'/> ...
//	owners                    <owner jid='JID'/> ... <page more='true'/>
//	put delete append cas     <done key='K' rev='REV'/> ..., one a change, in order
//	batch                     the same, with ns='NS' if the change had it
//	drop                      empty
//
// A revision is 13 digits 0-9a-v and opaque ([Rev]). Keys sort as bytes. The
// key that an append gets is its revision, and so holds its time: start and
// end compare with it. Who gives keys to an archive itself makes them with [At].
//
// A handler passes an operation that it doesn't know. So a chain may answer
// further ones: namespace auth, in which credentials are kept as SCRAM keys,
// never as passwords, leaves room for a store that knows none but can verify.
//
// # Several stores
//
// Of several stores that take a namespace, the first in the file is its owner,
// and answers. Which namespaces an owner has, and which owners a domain, is
// asked of all stores: the answer is that of one which had it all, in order. A
// drop without a namespace is made by all of them, and refused if one refuses.
//
// What changed is copied to the stores behind the owner: the question again,
// with replica='true' among its Attrs, and its Body followed by that of the
// answer. The n-th <done> gives the n-th change its key and revision; nothing is
// checked; an item that is newer stays. A store that did not make a copy is
// stale there until the server has copied it anew.
//
// Where a store with fallback = true has nothing, the next one that is not stale
// is asked. Nothing is an answer without an item, which counts none if it was to
// count: to a get none of the keys, or an empty namespace; to a query an empty
// page. Changes are made by the owner and copied, like all. An answer from
// another store than the owner has fallback='true' among its Attrs; for the owner
// its items are not there: a compare and set says that there must be none.
//
// # The running configuration
//
// For the host packet.ServerHost no store is asked but the server: its owner of
// that name has the running configuration in the namespace "config", read
// only. See package setting.
//
// # Limits
//
// An owner has at most 3071 bytes, a namespace 1023, a key 3071, a value 1 MiB.
// A question has at most 1000 changes or keys and 2 MiB, an answer a value more.
package xdb
