"""What the drivers of clients have in common: commands in, answers and events out.

Commands come on standard input, one JSON object a line, and are carried out in
order: {"id": 1, "do": "message", "to": "bob@localhost", "body": "hello"}.
Each gets one answer on standard output, {"answer": 1, "result": {...}} or
{"answer": 1, "error": "why"}. In between come events, {"event": "message", ...}: all
that the server sent, as it arrived. The end of standard input ends the program.
"""

import asyncio
import json
import logging
import sys


class Refused(Exception):
    """A command that could not be done; the text is the answer."""


async def obey(driver, reason):
    """Carry out commands with the methods do_NAME of a driver. reason(exception)
    says what the library means, or returns None if it was no answer."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = json.loads(line)
        number, name = command.pop("id"), command.pop("do")
        try:
            run = getattr(driver, "do_" + name, None)
            if run is None:
                raise Refused("no such command: " + name)
            write({"answer": number, "result": await run(**command)})
        except Refused as why:
            write({"answer": number, "error": str(why)})
        except Exception as error:
            why = reason(error)
            if why is None:
                logging.exception("%s", name)
                why = "%s: %s" % (type(error).__name__, error)
            write({"answer": number, "error": why.strip()})


def split(addr):
    host, _, port = addr.rpartition(":")
    return host.strip("[]"), int(port)


def emit(event, **told):
    write({"event": event, **told})


def write(line):
    print(json.dumps(line), flush=True)
