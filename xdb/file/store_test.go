package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/file"
)

const ann = "ann@example.org"

// A place is a folder with a store in it, and what that has logged.
type place struct {
	*xdb.Store
	dir   string
	log   bytes.Buffer
	files *file.Store
}

func newPlace(t *testing.T) *place {
	p := &place{dir: t.TempDir()}
	p.open(t)
	return p
}

func (p *place) open(t *testing.T) {
	t.Helper()
	var err error
	p.files, err = file.Open(p.dir, file.Options{Cache: 1 << 20, MaxSize: 1 << 20, Log: slog.New(slog.NewTextHandler(&p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.Store = conformance.NewStore(p.files)
	t.Cleanup(func() { p.files.Close() })
}

func (p *place) reopen(t *testing.T) {
	t.Helper()
	if err := p.files.Close(); err != nil {
		t.Fatal(err)
	}
	p.open(t)
}

// paths lists the files, without the store's own.
func (p *place) paths(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && d.Name() == ".store" {
			return fs.SkipDir
		}
		if !d.IsDir() {
			rel, _ := filepath.Rel(p.dir, path)
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// file returns the path of the only file.
func (p *place) file(t *testing.T) string {
	t.Helper()
	paths := p.paths(t)
	if len(paths) != 1 {
		t.Fatalf("files are %q", paths)
	}
	return filepath.Join(p.dir, paths[0])
}

func (p *place) put(t *testing.T, ns, key, value string) {
	t.Helper()
	if _, err := p.Put(t.Context(), ann, ns, key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func (p *place) batch(t *testing.T, changes ...xdb.Change) {
	t.Helper()
	if err := p.Batch(t.Context(), ann, changes); err != nil {
		t.Fatal(err)
	}
}

func (p *place) all(t *testing.T, ns string) string {
	t.Helper()
	items, err := p.GetAll(t.Context(), ann, ns)
	if err != nil {
		return "error: " + err.Error()
	}
	var parts []string
	for _, it := range items {
		parts = append(parts, it.Key+"="+string(it.Value))
	}
	return strings.Join(parts, " ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	// As if it had been a while ago: the same size at the same moment is not told apart.
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
}

var revision = regexp.MustCompile(`rev='[0-9a-v]{13}'`)

func TestFilesAreReadable(t *testing.T) {
	p := newPlace(t)
	if _, err := p.Put(t.Context(), ann, "jabber:iq:roster", "it's@example.org", []byte("<item name='B&amp;b'/>")); err != nil {
		t.Fatal(err)
	}
	p.batch(t,
		xdb.Change{Op: xdb.Append, NS: "jabber:iq:roster", Key: "x", With: "bob@example.org", Value: []byte("x")},
		xdb.Change{Op: xdb.Append, NS: "jabber:iq:roster", Key: "b", Value: []byte("text")})
	path := p.file(t)
	if rel, _ := filepath.Rel(p.dir, path); rel != "example.org/18/ann/jabber%3Aiq%3Aroster.xml" {
		t.Errorf("the file is %s", rel)
	}
	const added = `<namespace owner='ann@example.org' name='jabber:iq:roster'>
<item key='it&apos;s@example.org' REV><item name='B&amp;b'/></item>
<batch items='2'/>
<item key='x' REV with='bob@example.org'>x</item>
<item key='b' REV>text</item>
</namespace>
`
	if got := revision.ReplaceAllString(read(t, path), "REV"); got != added {
		t.Errorf("the file is\n%s", got)
	}
	p.put(t, "jabber:iq:roster", "x", "")
	const anew = `<namespace owner='ann@example.org' name='jabber:iq:roster'>
<item key='b' REV>text</item>
<item key='it&apos;s@example.org' REV><item name='B&amp;b'/></item>
<item key='x' REV/>
</namespace>
`
	if got := revision.ReplaceAllString(read(t, path), "REV"); got != anew {
		t.Errorf("the file is\n%s", got)
	}
	for _, key := range []string{"b", "it's@example.org", "x"} {
		if err := p.Delete(t.Context(), ann, "jabber:iq:roster", key); err != nil {
			t.Fatal(err)
		}
	}
	if paths := p.paths(t); len(paths) != 0 {
		t.Errorf("left are %q", paths)
	}
	info, err := os.Stat(p.dir + "/.store/clock")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

// An addition that a crash cut short, at any byte, is made or not made, and
// what there is of it is set aside.
func TestTornEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		add  []xdb.Change
	}{
		{"item", []xdb.Change{{Op: xdb.Append, NS: "n", Key: "c", With: "b", Value: []byte("<a>\n3</a>")}}},
		{"batch", []xdb.Change{{NS: "n", Key: "c", Value: []byte("3")}, {NS: "n", Key: "d", Value: []byte("<b/>")}, {NS: "n", Key: "e"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			p.put(t, "n", "a", "1")
			p.put(t, "n", "b", "2")
			path := p.file(t)
			before := read(t, path)
			p.batch(t, c.add...)
			after, all := read(t, path), p.all(t, "n")
			start := len(before) - len("</namespace>\n")
			for cut := start; cut <= len(after); cut++ {
				rests := map[string]string{
					"missing": "",
					"zeros":   string(make([]byte, len(after)-cut)),
				}
				if cut <= len(before) {
					rests["old"] = before[cut:]
					rests["old and zeros"] = before[cut:] + string(make([]byte, len(after)-len(before)))
				}
				for what, rest := range rests {
					p.check(t, path, after[:cut]+rest, fmt.Sprintf("%d of %d bytes, then %s", cut, len(after), what), all)
				}
			}
		})
	}
}

// check looks what becomes of a file that a crash may have left.
func (p *place) check(t *testing.T, path, content, what, all string) {
	t.Helper()
	p.log.Reset()
	write(t, path, content)
	got := p.all(t, "n")
	if got != "a=1 b=2" && got != all {
		t.Errorf("%s: got %s", what, got)
	}
	aside, err := filepath.Glob(path + ".torn-*")
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.TrimSpace(content)
	if whole = strings.TrimRight(whole, "\x00"); strings.HasSuffix(whole, "</namespace>") && whole == strings.TrimSpace(content) {
		if len(aside) > 0 || p.log.Len() > 0 {
			t.Errorf("%s: set aside without need: %s", what, p.log.String())
		}
		return
	}
	if strings.HasSuffix(strings.TrimSpace(content), ">") && len(aside) == 0 && strings.Contains(p.log.String(), "was missing") {
		return // just the end tag
	}
	if len(aside) != 1 || !strings.Contains(p.log.String(), path) || !strings.Contains(p.log.String(), aside[0]) {
		t.Fatalf("%s: set aside are %q, logged is %s", what, aside, p.log.String())
	}
	if torn := read(t, aside[0]); !strings.HasSuffix(content, torn) || torn == "" {
		t.Errorf("%s: set aside is %q", what, torn)
	}
	if now := read(t, path); !strings.HasSuffix(now, "</namespace>\n") {
		t.Errorf("%s: the file is now\n%s", what, now)
	}
	if err := os.Remove(aside[0]); err != nil {
		t.Fatal(err)
	}
	// It goes on from there.
	p.put(t, "n", "z", "9")
	if after := p.all(t, "n"); after != got+" z=9" {
		t.Errorf("%s: after a further item: %s", what, after)
	}
}

func TestDamagedFiles(t *testing.T) {
	const head = "<namespace owner='ann@example.org' name='n'>\n"
	const item = "<item key='a' rev='0000000000001'>1</item>\n"
	const end = "</namespace>\n"
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", ":1: it is not a namespace"},
		{"something else", "hello", ":1: xml: "},
		{"another element", "<roster/>", ":1: it is not the namespace"},
		{"of another owner", strings.Replace(head, "ann", "bob", 1) + end, ":1: it is not the namespace"},
		{"another namespace", strings.Replace(head, "name='n'", "name='m'", 1) + end, ":1: it is not the namespace"},
		{"tags that do not match", head + item + "<item key='b' rev='0000000000002'><a></b></item>\n" + item + end, ":3: xml: an end tag of something else"},
		{"an unclosed element", head + item + "<item key='b' rev='0000000000002'><a></item>\n" + item + end, ":3: xml: "},
		{"no key", head + "<item rev='0000000000001'/>\n" + end, ":2: an item without key"},
		{"no revision", head + item + "<item key='a' rev='once'/>\n" + end, ":3: an item without key or revision"},
		{"a strange element", head + item + "<contact/>\n" + end, `:3: an element "contact"`},
		{"text", head + item + "hello\n" + end, ":3: xml: text between elements"},
		{"a comment", head + "<!-- mine -->\n" + item + end, ":2: xml: a comment or a document type"},
		{"not UTF-8", head + "<item key='a' rev='0000000000001'>\xff</item>\n" + end, ":2: xml: "},
		{"a batch of nothing", head + "<batch items='none'/>\n" + end, ":2: a batch of no items"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			p.put(t, "n", "a", "1")
			path := p.file(t)
			p.put(t, "m", "a", "1")
			write(t, path, c.content)
			if got := p.all(t, "n"); !strings.Contains(got, path+c.want) {
				t.Errorf("got %s, want ...%s%s", got, path, c.want)
			}
			_, err := p.Put(t.Context(), ann, "n", "b", nil)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("changed a file that is damaged: %v", err)
			}
			if now := read(t, path); now != c.content {
				t.Errorf("the file is now %q", now)
			}
			if got := p.all(t, "m"); got != "a=1" {
				t.Errorf("another namespace has %s", got)
			}
			write(t, path, head+item+"\n  <item key='b' rev='0000000000002'>\n  </item>"+end) // as if by hand
			if got := p.all(t, "n"); got != "a=1 b=\n  " {
				t.Errorf("after it was mended: %s", got)
			}
		})
	}
}

func TestEditedByHand(t *testing.T) {
	p := newPlace(t)
	p.put(t, "n", "a", "1")
	path := p.file(t)
	p.all(t, "n")
	write(t, path, strings.Replace(read(t, path), ">1<", ">2<", 1))
	if got := p.all(t, "n"); got != "a=2" {
		t.Errorf("after it was edited: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := p.all(t, "n"); got != "" {
		t.Errorf("after it was removed: %s", got)
	}
}

func TestMaxSize(t *testing.T) {
	p := newPlace(t)
	value := bytes.Repeat([]byte("x"), 200<<10)
	fits := 0
	for ; fits < 100; fits++ {
		_, err := p.Put(t.Context(), ann, "n", fmt.Sprint(fits), value)
		var reject *packet.Reject
		if errors.As(err, &reject) && reject.Condition == "resource-constraint" {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if fits != 5 {
		t.Errorf("%d items of 200 KiB fit into 1 MiB", fits)
	}
	if _, err := p.Put(t.Context(), ann, "n", "0", value); err != nil {
		t.Errorf("replaced in a full file: %v", err)
	}
	if err := p.Delete(t.Context(), ann, "n", "0"); err != nil {
		t.Error(err)
	}
	if _, err := p.Put(t.Context(), ann, "n", "new", value); err != nil {
		t.Errorf("where there is room again: %v", err)
	}
}

// A batch in several files that fails half way is made later: at the next look
// at its owner, or at the next start.
func TestBatchIsFinished(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			p := newPlace(t)
			p.put(t, "a", "old", "0")
			p.put(t, "b", "k", "0")
			p.put(t, "b", "gone", "0")
			obstacle := filepath.Join(filepath.Dir(filepath.Join(p.dir, p.paths(t)[0])), "b.xml.tmp")
			if err := os.Mkdir(obstacle, 0o700); err != nil {
				t.Fatal(err)
			}
			err := p.Batch(t.Context(), ann, []xdb.Change{
				{NS: "a", Key: "k", Value: []byte("<v/>")},
				{NS: "b", Key: "k", Value: []byte("1")},
				{Op: xdb.Delete, NS: "b", Key: "gone"},
				{Op: xdb.Append, NS: "c", Key: "k", With: "bob@example.org", Value: []byte("1")},
			})
			if err == nil || !strings.Contains(err.Error(), "it will be tried again") {
				t.Fatalf("got %v", err)
			}
			if got := p.all(t, "a"); !strings.HasPrefix(got, "error") {
				t.Errorf("half of a batch was seen: %s", got)
			}
			if err := os.Remove(obstacle); err != nil {
				t.Fatal(err)
			}
			if restart {
				p.reopen(t)
			}
			if a, b, c := p.all(t, "a"), p.all(t, "b"), p.all(t, "c"); a != "k=<v/> old=0" || b != "k=1" || c != "k=1" {
				t.Errorf("got %q, %q, %q", a, b, c)
			}
			left, err := os.ReadDir(filepath.Join(p.dir, ".store", "batches"))
			if err != nil || len(left) != 0 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}

func TestStart(t *testing.T) {
	p := newPlace(t)
	p.put(t, "n", "a", "1")
	for name, content := range map[string]string{
		"batches/1.xml":       "<batch owner='ann@example.org'>\n<put ns='n' key='a'>2</put",
		"batches/2.xml":       "",
		"batches/3.xml.tmp":   "<batch",
		"dropped/x/n.xml":     "<namespace/>",
		"dropped/x/n.xml.tmp": "",
	} {
		path := filepath.Join(p.dir, ".store", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, content)
	}
	p.reopen(t)
	if got := p.all(t, "n"); got != "a=1" {
		t.Errorf("a torn batch was made: %s", got)
	}
	for _, name := range []string{"1.xml", "2.xml"} {
		if aside := filepath.Join(p.dir, ".store/batches", name+".torn"); !strings.Contains(p.log.String(), aside) {
			t.Errorf("%s was not reported: %s", aside, p.log.String())
		} else if _, err := os.Stat(aside); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(p.dir, ".store/dropped")); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}

	if err := p.files.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, ".store/clock"), "noon\n")
	_, err := file.Open(p.dir, file.Options{Cache: 1 << 20, MaxSize: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(p.dir, ".store/clock")) {
		t.Errorf("got %v", err)
	}
	// The clock goes on from where it was, whatever that of the machine says.
	future := xdb.At(time.Now().Add(time.Hour))
	write(t, filepath.Join(p.dir, ".store/clock"), future.String()+"\n")
	p.open(t)
	if rev, err := p.Put(t.Context(), ann, "n", "a", nil); err != nil || rev <= future {
		t.Errorf("revision %v after %v, %v", rev, future, err)
	}
}

// The cache is bounded: more namespaces than fit are still all there.
func TestCacheIsSmall(t *testing.T) {
	dir := t.TempDir()
	s, err := file.Open(dir, file.Options{Cache: 64 << 10, MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 500 {
		c := []xdb.Change{{NS: "n", Key: strings.Repeat("k", 200), Value: fmt.Append(nil, i)}}
		if err := s.Change(t.Context(), fmt.Sprintf("u%d@example.org", i), c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		items, err := s.Get(t.Context(), fmt.Sprintf("u%d@example.org", i), "n", nil, nil)
		if err != nil || len(items) != 1 || string(items[0].Value) != fmt.Sprint(i) {
			t.Fatalf("%d: %v, %v", i, items, err)
		}
	}
}

// Whatever a file has, nothing panics, and what is changed then is there.
func FuzzFile(f *testing.F) {
	const head, item = "<namespace owner='ann@example.org' name='n'>\n", "<item key='a' rev='0000000000001'>1</item>\n"
	for _, seed := range []string{
		"", head, head + item, head + item + "</namespace>\n", head + "<batch items='2'/>\n" + item + "</namespace>\n",
		head + item + item + "</namespace>\n\x00\x00", "<?xml version='1.0'?>" + head + "</namespace>",
	} {
		f.Add([]byte(seed))
	}
	p := &place{dir: f.TempDir()}
	var err error
	if p.files, err = file.Open(p.dir, file.Options{Cache: 1 << 20, MaxSize: 1 << 20}); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.files.Close() })
	p.Store = conformance.NewStore(p.files)
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := p.Drop(t.Context(), ann, "", ""); err != nil {
			t.Fatal(err)
		}
		p.put(t, "n", "k", "")
		write(t, p.file(t), string(content))
		if _, err := p.GetAll(t.Context(), ann, "n"); err != nil {
			return
		}
		p.put(t, "n", "k", "new")
		if it, found, err := p.Get(t.Context(), ann, "n", "k"); err != nil || !found || string(it.Value) != "new" {
			t.Fatalf("%q: got %+v, %v", content, it, err)
		}
	})
}
