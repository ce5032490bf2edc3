"""Plays one XMPP client with aioxmpp. What commands and events are is said in
commands.py. A connection that is lost it makes again by itself, and resumes.
"""

import asyncio
import logging
import time

import aioxmpp
import aioxmpp.connector
import aioxmpp.dispatcher
import aioxmpp.misc
import aioxmpp.ping
import aioxmpp.roster.xso
import aioxmpp.xml

from commands import Refused, emit, obey, split

IQ_TIMEOUT = 20  # seconds
CONNECTORS = {
    "starttls": aioxmpp.connector.STARTTLSConnector,
    "direct": aioxmpp.connector.XMPPOverTLSConnector,
}


class Driver:
    def __init__(self):
        self.client = None
        self.login = None  # the future that connect waits for

    async def do_connect(self, addr, jid, password, tls):
        if self.client is not None:
            raise Refused("one driver plays one client")
        host, port = split(addr)
        self.client = client = aioxmpp.Client(
            aioxmpp.JID.fromstr(jid), aioxmpp.make_security_layer(password, no_verify=True),
            override_peer=[(host, port, CONNECTORS[tls]())], max_initial_attempts=1)
        self.login = asyncio.get_running_loop().create_future()
        client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher).register_callback(None, None, heard)
        presences = client.summon(aioxmpp.dispatcher.SimplePresenceDispatcher)
        for kind in aioxmpp.PresenceType:
            presences.register_callback(kind, None, heard)
        client.on_stream_established.connect(self.on_established)
        client.on_stream_suspended.connect(lambda reason: emit("disconnected", text=str(reason or "")))
        client.on_stream_resumed.connect(lambda: emit("resumed", jid=str(client.local_jid)))
        client.on_stream_destroyed.connect(lambda reason=None: emit("disconnected", text=str(reason or "")))
        client.on_failure.connect(self.on_failure)
        client.start()
        return await self.login

    def on_established(self):
        jid = str(self.client.local_jid)
        emit("session", jid=jid)
        if not self.login.done():
            self.login.set_result({"jid": jid, "resumed": False})

    def on_failure(self, error):
        if not self.login.done():
            self.login.set_exception(Refused("%s: %s" % (type(error).__name__, error)))

    async def do_disconnect(self):
        stopped = asyncio.get_running_loop().create_future()
        self.client.on_stopped.connect(lambda: stopped.set_result(None))
        self.client.stop()
        await asyncio.wait_for(stopped, IQ_TIMEOUT)
        return {}

    async def do_message(self, to, body):
        message = aioxmpp.Message(type_=aioxmpp.MessageType.CHAT, to=aioxmpp.JID.fromstr(to))
        message.body[None] = body
        return await self.send(message)

    async def do_presence(self, to="", type="", show="", status="", priority=0, **_):
        presence = aioxmpp.Presence(type_=aioxmpp.PresenceType(type or None), show=aioxmpp.PresenceShow(show or None))
        if to:
            presence.to = aioxmpp.JID.fromstr(to)
        if status:
            presence.status[None] = status
        presence.priority = priority
        return await self.send(presence)

    async def do_roster(self):
        answer = await self.ask(None, aioxmpp.IQType.GET, aioxmpp.roster.xso.Query())
        return {"items": [{
            "jid": str(item.jid), "name": item.name or "", "subscription": item.subscription,
            "ask": item.ask or "", "groups": sorted(group.name for group in item.groups),
        } for item in answer.items]}

    async def do_ping(self, to):
        began = time.monotonic()
        await self.ask(aioxmpp.JID.fromstr(to), aioxmpp.IQType.GET, aioxmpp.ping.Ping())
        return {"seconds": time.monotonic() - began}

    async def ask(self, to, kind, payload):
        iq = aioxmpp.IQ(kind, to=to, payload=payload)
        return await self.client.send(iq, timeout=IQ_TIMEOUT)

    async def send(self, stanza):
        stanza.autoset_id()
        await asyncio.wait_for(self.client.send(stanza), IQ_TIMEOUT)
        return {"id": stanza.id_}


def heard(stanza):
    """Tell of a stanza."""
    text = lambda strings: strings.any() if strings else ""
    told = {
        "from": str(stanza.from_ or ""), "to": str(stanza.to or ""), "type": stanza.type_.value or "",
        "id": stanza.id_ or "", "xml": aioxmpp.xml.serialize_single_xso(stanza),
    }
    if isinstance(stanza, aioxmpp.Message):
        told.update(body=text(stanza.body), subject=text(stanza.subject), delayed=bool(stanza.xep0203_delay))
        emit("message", **told)
        return
    told.update(show=stanza.show.value or "", status=text(stanza.status), priority=str(stanza.priority))
    emit("presence", **told)


def reason(error):
    if isinstance(error, aioxmpp.errors.XMPPError):
        return "%s %s" % (error.condition, error.text or "")
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in %d s" % IQ_TIMEOUT
    return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(obey(Driver(), reason))
