#!/usr/bin/env python3
"""A bot: it says again what it is told.

It reads packets as XML from its standard input and writes its own to its
standard output, one after another. What it does not understand it leaves.
"""
import sys
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr


def name(element):
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def answer(stanza):
    """What to write for a packet, or nothing."""
    if name(stanza) != "message" or stanza.get("type") == "error":
        return
    for child in stanza:
        if name(child) == "body" and child.text:
            yield "<message to=%s from=%s type='chat'><body>%s</body></message>\n" % (
                quoteattr(stanza.get("from")), quoteattr(stanza.get("to")), escape("You said: " + child.text))


def main():
    parser = ElementTree.XMLPullParser(["start", "end"])
    parser.feed("<packets>")
    depth, packets = 0, None
    for line in sys.stdin:
        parser.feed(line)
        for event, element in parser.read_events():
            depth += 1 if event == "start" else -1
            if packets is None:
                packets = element
            elif event == "end" and depth == 1:
                for text in answer(element):
                    sys.stdout.write(text)
                    sys.stdout.flush()
                packets.remove(element)


if __name__ == "__main__":
    main()
