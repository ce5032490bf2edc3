#!/usr/bin/python3
"""The plugin greeter in Python, with nothing but plugin.proto and gRPC.

plugin_pb2 and plugin_pb2_grpc are what protoc makes of plugin.proto; they are
found beside this file or on PYTHONPATH. README.md says how to make them.

Greeter is the module: what it does with packets. Plugin is the protocol, which
any module could stand on.
"""
import asyncio
import json
import os
import re
import secrets
import signal
import sys
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import grpc
from google.protobuf import json_format

import plugin_pb2 as wire
import plugin_pb2_grpc

MODULE = wire.Module(
    name="greeter", doc="Greets whoever says hello, and counts.", kinds=[wire.NORMAL],
    args=[
        wire.Arg(name="words", type="list(string)", default="hello,hi",
                 doc="What is a greeting: messages with one of these words, in capitals or not."),
        wire.Arg(name="answer", type="string", default="Hello {name}, this is greeting {times}.",
                 doc="What is answered: {name} is who has greeted, {times} how often by now."),
    ])
NAMESPACE = "urn:example:greeter"  # of the counts: an item for each greeter, of the person who greets
REDELIVERED = 1


class BadArg(Exception):
    """An argument is wrong; jabberd shows where in the file it stands."""

    def __init__(self, name, text):
        super().__init__(text)
        self.path = name.split(".")


class Refused(Exception):
    """An error that the sender of a packet is told, or that an asker was told."""

    def __init__(self, reject):
        super().__init__("%s: %s" % (reject.condition, reject.text))
        self.reject = reject


def bare(jid):
    return jid.partition("/")[0]


def domain(jid):
    return bare(jid).rpartition("@")[2]


def sender(packet):
    return getattr(packet, "from")  # a keyword of Python


def quoted(value):
    """A value as that of an attribute, in single quotes."""
    return "'%s'" % escape(value, {"'": "&apos;", "\n": "&#10;", "\t": "&#9;"})


class Greeter:
    """One block of the module greeter."""

    def __init__(self, args):
        self.words, self.answer = args["words"], args["answer"]
        for word in self.words:
            if not word.isalpha():
                raise BadArg("words", '"%s" is no word' % word)
        for found in re.findall(r"\{[^{}]*\}?", self.answer):
            if found not in ("{name}", "{times}"):
                raise BadArg("answer", "%s is neither {name} nor {times}" % found)

    async def handle(self, env, packet):
        """Answers a greeting and passes everything else on."""
        if not self.greeting(packet):
            return wire.PASS
        times = await self.count(env, packet)
        if packet.flags & REDELIVERED:
            env.log("warn", "greeted after a death; it may have been counted before", who=bare(sender(packet)), times=times)
        else:
            env.log("info", "greeted", who=bare(sender(packet)), times=times)
        name = bare(sender(packet)).partition("@")[0]
        values = {"{name}": name, "{times}": str(times)}
        said = re.sub(r"\{[^{}]*\}", lambda found: values[found[0]], self.answer)
        env.deliver(name="message", type=packet.type, to=sender(packet), body="<body>%s</body>" % escape(said), **{"from": packet.to})
        return wire.CLAIM

    def explain(self, packet):
        """Says what handle would do, and why."""
        word = self.greeting(packet)
        if word:
            return wire.CLAIM, 'answers "%s"' % word
        return wire.PASS, "not a message with one of " + ", ".join(self.words)

    def greeting(self, packet):
        """The word in a packet that is a greeting, or None."""
        if packet.name != "message" or packet.type not in ("", "normal", "chat"):
            return None
        try:
            message = ElementTree.fromstring(b"<message xmlns='jabber:client'>%s</message>" % packet.body)
        except ElementTree.ParseError:
            return None
        said = re.findall(r"[^\W\d_]+", message.findtext("{jabber:client}body", "").lower())
        return next((word for word in self.words if word.lower() in said), None)

    async def count(self, env, packet):
        """Counts a greeting and returns how many there were."""
        question = {"to": bare(sender(packet)), "from": domain(packet.to), "ns": NAMESPACE}
        key = quoted(bare(packet.to))
        for last in range(15, -1, -1):
            answer = await env.ask(name="get", type="get", body="<item key=%s/>" % key, **question)
            item = ElementTree.fromstring(b"<answer>%s</answer>" % answer.body).find("item")
            times, was = (1, "") if item is None else (int(item.text) + 1, item.get("rev"))
            try:
                await env.ask(name="cas", type="set", body="<put key=%s was=%s>%d</put>" % (key, quoted(was), times), **question)
                return times
            except Refused as refused:  # somebody else was faster
                if refused.reject.condition != "conflict" or not last:
                    raise


class Env:
    """What a handler has for one packet, in the section and link that it stands in."""

    def __init__(self, plugin):
        self.plugin, self.delivered = plugin, []
        self.section = self.link = None

    def deliver(self, **fields):
        """Puts a packet into the tree, together with the verdict."""
        self.delivered.append(wire.Packet(kind=wire.NORMAL, **with_bytes(fields)))

    async def ask(self, **fields):
        """Puts a question to storage, at once, and waits for the answer."""
        return await self.plugin.ask(wire.Packet(kind=wire.XDB, **with_bytes(fields)))

    def log(self, level, text, **fields):
        fields = {"module": self.link.module, "place": self.link.place, **fields}
        attrs = "".join(" %s=%s" % (name, quoted(str(value))) for name, value in fields.items())
        entry = wire.Packet(kind=wire.LOG, name="entry", type=level, attrs=attrs, body=escape(text).encode(), **{"from": self.section.id})
        self.plugin.send(wire.Commit(deliveries=[wire.Delivery(packet=entry)]))


def with_bytes(fields):
    return {**fields, "body": fields["body"].encode()}


class Plugin(plugin_pb2_grpc.PluginServicer):
    """The service Plugin, for one jabberd: it ends when its link does."""

    def __init__(self):
        self.id = secrets.randbits(63) + 1
        self.sections, self.handlers = [], {}  # by section and link
        self.passive = set()  # links that take no packets, whosever they are
        self.under_way = {}  # order key to the task of its last packet
        self.next, self.asked = 1, {}  # number of the next delivery; questions by number
        self.held = {}  # numbers of deliveries without a settlement, in order
        self.out, self.some = [], asyncio.Event()
        self.ended = asyncio.Event()
        self.alone = asyncio.get_running_loop().call_later(60, self.ended.set)

    async def Describe(self, request, context):
        return wire.DescribeReply(protocols=[1], sdk="greeter-python 1", modules=[MODULE], id=self.id)

    async def Make(self, request, context):
        self.sections, reply = request.sections, wire.MakeReply(made=wire.Made())
        for s, section in enumerate(request.sections):
            for n, link in enumerate(section.chain):
                if link.process != request.process:
                    continue
                try:
                    self.handlers[s, n] = Greeter(json.loads(link.args))
                except BadArg as wrong:
                    reply.errors.add(at=wire.LinkRef(section=s, link=n), path=wrong.path, text=str(wrong))
        return reply

    async def Arrange(self, request, context):
        self.passive = {(at.section, at.link) for at in request.made.passive}
        return wire.ArrangeReply()

    async def Start(self, request, context):
        return wire.StartReply()

    async def Run(self, request, context):
        return wire.RunReply()

    async def Stop(self, request, context):
        while self.under_way:
            await asyncio.wait(set(self.under_way.values()))
        self.ended.set()
        return wire.StopReply()

    async def Link(self, frames, context):
        self.alone.cancel()
        writer = asyncio.create_task(self.write(context))
        try:
            async for frame in frames:
                for record in frame.records:
                    getattr(self, "on_" + (record.WhichOneof("record") or "other"), self.on_other)(record)
        finally:  # jabberd has stopped, or is gone
            writer.cancel()
            self.ended.set()

    async def write(self, context):
        """Sends what has gathered since the last frame."""
        while await self.some.wait():
            self.some.clear()
            records, self.out = self.out, []
            await context.write(wire.Frame(records=records))

    def send(self, commit):
        commit.settled = next(iter(self.held), self.next)
        self.out.append(wire.Record(commit=commit))
        self.some.set()

    def hold(self, **fields):
        """Numbers a delivery, which is held until its settlement."""
        delivery = wire.Delivery(num=self.next, **fields)
        self.held[self.next] = None
        self.next += 1
        return delivery

    async def ask(self, packet):
        delivery = self.hold(ask=True, packet=packet)
        answer = self.asked[delivery.num] = asyncio.get_running_loop().create_future()
        self.send(wire.Commit(deliveries=[delivery]))
        return await answer

    def on_settlement(self, record):
        end = record.settlement
        self.held.pop(end.num, None)
        question = self.asked.pop(end.num, None)
        if question is None or question.done():
            return
        if end.result == wire.CLAIMED:
            question.set_result(end.answer)
        else:
            question.set_exception(Refused(end.reason if end.HasField("reason") else wire.Reject(condition="internal-server-error")))

    def on_walk(self, record):
        """Hands a packet to its handler, behind those before it with its order key."""
        packet = record.walk.packet
        key = bare(sender(packet)), bare(packet.to)
        task = self.under_way[key] = asyncio.create_task(self.walk(record.walk, self.under_way.get(key)))
        task.add_done_callback(lambda _: self.under_way.get(key) is task and self.under_way.pop(key))

    async def walk(self, walk, before):
        if before:
            await asyncio.wait({before})
        env, stop = Env(self), wire.Stop(walk=walk.id, link=walk.link)
        try:
            await asyncio.wait_for(self.handle(walk, env, stop), walk.timeout / 1e9 or None)
        except Refused as refused:
            stop.reject.CopyFrom(refused.reject)
        except Exception as wrong:  # of whatever kind: the sender gets internal-server-error
            stop.internal = repr(wrong)
        deliveries = []
        if not stop.HasField("reject") and not stop.internal:
            deliveries = [self.hold(cause=walk.id, packet=packet) for packet in env.delivered]
        self.send(wire.Commit(stops=[stop], deliveries=deliveries))

    async def handle(self, walk, env, stop):
        """Asks one link after the other until one does not pass."""
        for n, handler in self.ours(walk):
            env.section, env.link, stop.link = self.sections[walk.section], self.sections[walk.section].chain[n], n + 1
            stop.verdict = await handler.handle(env, walk.packet)
            if stop.verdict != wire.PASS:
                return

    def ours(self, at):
        """The handlers of this process from a link on, without another process's between them."""
        n = at.link
        while (at.section, n) in self.handlers or (at.section, n) in self.passive:
            if (at.section, n) in self.handlers:
                yield n, self.handlers[at.section, n]
            n += 1

    def on_explain(self, record):
        question = record.explain
        for n, handler in self.ours(question):
            link = self.sections[question.section].chain[n]
            verdict, why = handler.explain(question.packet)
            question.steps.add(module=link.module, label=link.label, place=link.place, process=link.process,
                               verdict=wire.Verdict.Name(verdict).lower(), why=why, asked=True)
            if verdict != wire.PASS:
                break
        question.answer = True
        self.out.append(wire.Record(explain=question))
        self.some.set()

    def on_other(self, record):
        """Hosts come and go, and later protocols have more to say."""


async def serve():
    plugin = Plugin()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    plugin_pb2_grpc.add_PluginServicer_to_server(plugin, server)
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "socket")
    server.add_insecure_port("unix:" + path)
    await server.start()
    print("1|1|unix|%s|grpc|" % path, flush=True)
    sys.stdout = sys.stderr  # what is printed from now on is for the log
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # is for jabberd
    loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(plugin.Stop(None, None)))
    await plugin.ended.wait()
    await server.stop(2)  # seconds for jabberd to take what was said last


def main():
    if "describe" in sys.argv[1:]:
        print(json_format.MessageToJson(wire.DescribeReply(protocols=[1], sdk="greeter-python 1", modules=[MODULE])))
    elif os.environ.get("JABBERD_PLUGIN") == "delivery-tree":
        asyncio.run(serve())
    else:
        sys.exit('This is a plugin of jabberd, which starts it when its configuration says\n\n'
                 '  plugin "greeter-python" { path = "%s" }' % sys.argv[0])


if __name__ == "__main__":
    main()
