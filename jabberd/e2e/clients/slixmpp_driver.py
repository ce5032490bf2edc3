"""Plays one XMPP client, or one external component (XEP-0114), with slixmpp. What
commands and events are is said in commands.py.
"""

import asyncio
import base64
import logging
import ssl
import time
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0198 import stanza as sm
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from commands import Refused, emit, obey, split

IQ_TIMEOUT = 20  # seconds
RETRY = 0.1  # seconds between attempts to come back to a server that is away


class Driver:
    def __init__(self):
        self.stream = None  # the slixmpp client or component
        self.dial = None  # connects it, once more each time it is called
        self.login = None  # the future that connect waits for
        self.patient = False  # whether to go on while nobody listens
        self.managed = False  # whether stream management belongs to the login

    # Commands

    async def do_connect(self, addr, jid, password, tls, ca="", mechanism="", resume=False, register=False):
        client = slixmpp.ClientXMPP(jid, password, plugin_config={
            "feature_mechanisms": {
                "use_mech": mechanism or None,
                "unencrypted_plain": tls == "none",
            },
        })
        context = client.ssl_context
        context.check_hostname = bool(ca)
        context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
        client.ca_certs = ca or None
        self.managed = resume
        if resume:
            client.register_plugin("xep_0198")
            keep_unacknowledged(client)
        if register:
            client.register_plugin("xep_0077")
            client.add_event_handler("register", self.on_register)
            client._always_send_everything = True  # 1.8 holds back what comes before a session
        host, port = split(addr)
        self.dial = lambda: client.connect(
            (host, port), use_ssl=tls == "direct",
            force_starttls=tls == "starttls", disable_starttls=tls == "none")
        return await self.begin(client)

    async def do_component(self, addr, host, secret):
        component = slixmpp.ComponentXMPP(host, secret, *split(addr))
        self.dial = component.connect
        return await self.begin(component)

    async def do_reconnect(self):
        """Come back after drop; resumes the stream if that was asked for at first."""
        if self.stream.transport:
            raise Refused("still connected")
        self.patient = True
        return await self.dialled()

    async def do_drop(self):
        """Cut the TCP connection without a word."""
        gone = self.stream.wait_until("disconnected", IQ_TIMEOUT)
        waiting = asyncio.ensure_future(gone)
        await asyncio.sleep(0)  # let it begin to wait
        self.stream.abort()
        await waiting
        return {}

    async def do_disconnect(self):
        self.patient = False
        await self.stream.disconnect(wait=5)
        return {}

    async def do_message(self, to, body, type="chat", id="", **attributes):
        message = self.stream.make_message(to, body, mtype=type)
        return await self.send(message, id, attributes)

    async def do_presence(self, to="", type="", show="", status="", priority=None, **attributes):
        presence = self.stream.Presence()
        for key, value in (("to", to), ("type", type)):
            if value:
                presence.xml.set(key, value)
        if show:
            presence["show"] = show
        if status:
            presence["status"] = status
        if priority is not None:
            presence["priority"] = priority
        return await self.send(presence, "", attributes)

    async def do_send(self, xml):
        """Send a stanza as it stands."""
        return await self.send(self.parse(xml), "", {})

    async def do_iq(self, xml):
        """Send an IQ and wait for its answer, an error included."""
        iq = self.parse(xml)
        if not iq["id"]:
            iq["id"] = self.stream.new_id()
        try:
            answer = await iq.send(timeout=IQ_TIMEOUT)
        except IqError as refusal:
            answer = refusal.iq
        return fields(answer)

    async def do_roster(self):
        iq = self.stream.Iq()
        iq["type"] = "get"
        iq.enable("roster")  # all of it: no version
        return {"items": items(await iq.send(timeout=IQ_TIMEOUT))}

    async def do_roster_set(self, jid, name="", groups=()):
        await self.stream.update_roster(jid, name=name, groups=list(groups), timeout=IQ_TIMEOUT)
        return {}

    async def do_roster_remove(self, jid):
        await self.stream.del_roster_item(jid)
        return {}

    async def do_ping(self, to, **attributes):
        began = time.monotonic()
        await self.stream["xep_0199"].send_ping(
            to, ifrom=attributes.get("from"), timeout=IQ_TIMEOUT)
        return {"seconds": time.monotonic() - began}

    async def do_disco(self, to, node=None, **attributes):
        disco, ifrom = self.stream["xep_0030"], attributes.get("from")
        info = await disco.get_info(jid=to, node=node, ifrom=ifrom, timeout=IQ_TIMEOUT)
        listed = await disco.get_items(jid=to, node=node, ifrom=ifrom, timeout=IQ_TIMEOUT)
        info = info["disco_info"]
        return {
            "identities": [
                {"category": category, "type": kind, "name": name or ""}
                for category, kind, _, name in sorted(info["identities"], key=str)],
            "features": sorted(info["features"]),
            "items": [
                {"jid": str(jid), "node": node or "", "name": name or ""}
                for jid, node, name in sorted(listed["disco_items"]["items"], key=str)],
        }

    async def do_card_set(self, name, photo=""):
        """Publish a vCard (XEP-0054); the photo is in base64."""
        plugin = self.plugin("xep_0054")
        card = plugin.make_vcard()
        card["FN"] = name
        if photo:
            card["PHOTO"]["TYPE"] = "image/png"
            card["PHOTO"]["BINVAL"] = base64.b64decode(photo)
        await plugin.publish_vcard(card, timeout=IQ_TIMEOUT)
        return {}

    async def do_card(self, of):
        answer = await self.plugin("xep_0054").get_vcard(slixmpp.JID(of), local=False, cached=False, timeout=IQ_TIMEOUT)
        photo = answer["vcard_temp"]["PHOTO"]["BINVAL"] or b""
        return {"name": answer["vcard_temp"]["FN"], "photo": base64.b64encode(photo).decode()}

    async def do_block(self, jids):
        await self.plugin("xep_0191").block(list(jids), timeout=IQ_TIMEOUT)
        return {}

    async def do_unblock(self, jids):
        await self.plugin("xep_0191").unblock(list(jids), timeout=IQ_TIMEOUT)
        return {}

    async def do_blocked(self):
        answer = await self.plugin("xep_0191").get_blocked(timeout=IQ_TIMEOUT)
        return {"jids": sorted(str(jid) for jid in answer["blocklist"]["items"])}

    async def do_bookmark(self, room, name):
        """Keep a bookmark in private XML (XEP-0048, XEP-0049)."""
        bookmarks = self.plugin("xep_0048").stanza.Bookmarks()
        bookmarks.add_conference(room, nick="me", name=name)
        await self.plugin("xep_0049").store(bookmarks, timeout=IQ_TIMEOUT)
        return {}

    async def do_bookmarks(self):
        self.plugin("xep_0048")
        answer = await self.plugin("xep_0049").retrieve("bookmarks", timeout=IQ_TIMEOUT)
        kept = answer["private"]["bookmarks"]["conferences"]
        return {"rooms": sorted(str(room["jid"]) for room in kept)}

    async def do_command(self, to, node, fields):
        """Run an ad-hoc command (XEP-0050): fill in its form, if it has one."""
        plugin = self.plugin("xep_0050")
        answer = await plugin.send_command(to, node, timeout=IQ_TIMEOUT)
        if answer["command"]["status"] == "executing":
            form = answer["command"]["form"]
            form.reply()
            for name, value in fields.items():
                if name not in form.get_fields():
                    raise Refused("the form has no field " + name)
                form.get_fields()[name]["value"] = value
            answer = await plugin.send_command(
                to, node, action="complete", payload=form, sessionid=answer["command"]["sessionid"], timeout=IQ_TIMEOUT)
        command = answer["command"]
        values = {}
        if command.get_plugin("form", check=True) is not None:
            for name, field in command["form"].get_fields().items():
                value = field.get_value(convert=False)
                values[name] = value if isinstance(value, list) else [value or ""]
        return {
            "status": command["status"], "fields": values,
            "notes": [{"type": kind, "text": text} for kind, text in command["notes"]],
        }

    def plugin(self, name):
        if name not in self.stream.plugin:
            self.stream.register_plugin(name)
        return self.stream[name]

    async def do_ack(self):
        """Ask for an acknowledgement (XEP-0198); those that come are events."""
        self.stream["xep_0198"].request_ack()
        return {"unacknowledged": len(self.stream["xep_0198"].unacked_queue)}

    # The stream

    async def begin(self, stream):
        if self.stream is not None:
            raise Refused("one driver plays one client")
        self.stream = stream
        # What to do with a request is for whoever gives the commands.
        stream.auto_authorize = None
        stream.auto_subscribe = False
        stream.register_plugin("xep_0030")
        stream.register_plugin("xep_0199")
        for name in ("message", "presence", "iq"):
            stream.register_handler(Callback(
                "driver " + name, MatchXPath("{%s}%s" % (stream.default_ns, name)), self.on_stanza))
        for event, handler in (
            ("session_start", self.on_session),
            ("session_resumed", self.on_resumed),
            ("stream_negotiated", self.on_negotiated),
            ("sm_enabled", lambda enabled: emit("sm", id=enabled["id"])),
            ("sm_failed", lambda _: emit("sm_failed")),
            ("stanza_acked", lambda stanza: emit("acked", id=stanza["id"])),
            ("roster_update", lambda iq: emit("roster", items=items(iq))),
            ("failed_auth", self.on_failed_auth),
            ("stream_error", self.on_stream_error),
            ("ssl_invalid_chain", lambda error: self.refuse("certificate: %s" % error)),
            ("connection_failed", self.on_connection_failed),
            ("disconnected", self.on_disconnected),
        ):
            stream.add_event_handler(event, handler)
        return await self.dialled()

    async def dialled(self):
        self.login = asyncio.get_running_loop().create_future()
        self.dial()
        return await self.login

    async def on_register(self, form):
        """Ask for an account before the login (XEP-0077); form is what the server wants."""
        if form["register"]["fields"] != {"username", "password"}:
            self.refuse("registration: the server wants %s" % form["register"]["fields"])
            return
        iq = self.stream.Iq(stype="set")
        iq["register"]["username"] = self.stream.boundjid.user
        iq["register"]["password"] = self.stream.password
        try:
            await iq.send(timeout=IQ_TIMEOUT)
        except IqError as error:
            self.refuse("registration: %s" % error.iq["error"]["condition"])
            self.stream.abort()

    async def do_password(self, password):
        await self.plugin("xep_0077").change_password(password, timeout=IQ_TIMEOUT)
        return {}

    async def do_unregister(self):
        await self.plugin("xep_0077").cancel_registration(timeout=IQ_TIMEOUT)
        return {}

    def on_session(self, _):
        emit("session", jid=self.stream.boundjid.full)
        if not self.managed:
            self.accept({"jid": self.stream.boundjid.full, "resumed": False})

    def on_negotiated(self, _):
        if "bind" not in self.stream.features:
            self.refuse("stream: the server offers nothing that leads to a session")
            self.stream.abort()
        elif self.managed:
            self.accept({"jid": self.stream.boundjid.full, "resumed": False})

    def on_resumed(self, _):
        emit("resumed", jid=self.stream.boundjid.full)
        self.accept({"jid": self.stream.boundjid.full, "resumed": True})

    def on_failed_auth(self, failure):
        self.refuse("authentication: %s %s" % (failure["condition"], failure["text"]))

    def on_stream_error(self, error):
        emit("stream_error", condition=error["condition"], text=error["text"])
        self.refuse("stream error: %s %s" % (error["condition"], error["text"]))

    def on_connection_failed(self, error):
        self.stream.cancel_connection_attempt()
        if self.patient:
            asyncio.get_running_loop().call_later(RETRY, self.dial)
        else:
            self.refuse("connect: %s" % error)

    def on_disconnected(self, reason):
        emit("disconnected", text=str(reason or ""))
        if self.login and not self.login.done() and self.patient:
            asyncio.get_running_loop().call_later(RETRY, self.dial)
        else:
            self.refuse("disconnected: %s" % (reason or "the server closed the stream"))

    def on_stanza(self, stanza):
        if stanza.name == "iq" and stanza["type"] not in ("get", "set"):
            return  # answers go to who asked
        emit(stanza.name, **fields(stanza))

    def accept(self, result):
        self.patient = False
        if self.login and not self.login.done():
            self.login.set_result(result)

    def refuse(self, why):
        if self.login and not self.login.done():
            self.login.set_exception(Refused(why.strip()))

    async def send(self, stanza, id, attributes):
        if not self.stream.transport:
            raise Refused("not connected")
        stanza["id"] = id or stanza["id"] or self.stream.new_id()
        if attributes.get("from"):
            stanza["from"] = attributes["from"]
        stanza.send()
        await self.stream.waiting_queue.join()  # the answer says that it was written
        return {"id": stanza["id"]}

    def parse(self, xml):
        ns = self.stream.default_ns
        element = ET.fromstring('<x xmlns="%s">%s</x>' % (ns, xml))[0]
        kinds = {
            "{%s}message" % ns: self.stream.Message,
            "{%s}presence" % ns: self.stream.Presence,
            "{%s}iq" % ns: self.stream.Iq,
        }
        if element.tag not in kinds:
            raise Refused("no stanza: %s" % xml)
        return kinds[element.tag](xml=element)


def keep_unacknowledged(client):
    """slixmpp forgets what was not acknowledged just before it resumes; keep it, as XEP-0198 5 asks."""
    plugin = client["xep_0198"]
    remember = plugin._handle_outgoing
    client.del_filter("out_sync", remember)

    def outgoing(stanza):
        if isinstance(stanza, sm.Resume):
            plugin.enabled_out = True
            return stanza
        return remember(stanza)

    client.add_filter("out_sync", outgoing)


def fields(stanza):
    """What the driver tells of a stanza."""
    told = {
        "from": str(stanza["from"]),
        "to": str(stanza["to"]),
        "type": stanza.xml.get("type", ""),
        "id": stanza["id"],
        "xml": str(stanza),
        "delayed": stanza.xml.find("{urn:xmpp:delay}delay") is not None,
    }
    for name in ("body", "subject", "show", "status", "priority"):
        child = stanza.xml.find("{%s}%s" % (stanza.namespace, name))
        if child is not None:
            told[name] = child.text or ""
    if told["type"] == "error":
        told["condition"] = stanza["error"]["condition"]
        told["text"] = stanza["error"]["text"]
    return told


def items(iq):
    """The items of a roster result or push."""
    query = iq.xml.find("{jabber:iq:roster}query")
    return [{
        "jid": item.get("jid"),
        "name": item.get("name", ""),
        "subscription": item.get("subscription", "none"),
        "ask": item.get("ask", ""),
        "groups": [group.text or "" for group in item.findall("{jabber:iq:roster}group")],
    } for item in (query if query is not None else ())]


def reason(error):
    if isinstance(error, IqTimeout):
        return "no answer in %d s" % IQ_TIMEOUT
    if isinstance(error, IqError):
        refusal = error.iq["error"]
        return "%s %s" % (refusal["condition"], refusal["text"])
    return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)

    async def main():  # slixmpp makes streams of the running loop
        await obey(Driver(), reason)

    asyncio.run(main())
