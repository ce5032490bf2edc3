#!/usr/bin/env python3
"""Who may log in, decided by a program.

It reads questions of storage as JSON, a line each, and answers those about
accounts (namespace "auth"): who is there, and whether a password is right. Here
that is a file with a line "NAME:PASSWORD" for each account; a program of yours
asks whatever knows it.
"""
import hmac
import json
import sys
from xml.etree import ElementTree


def accounts(path):
    """The accounts in the file, read anew each time; without it there are none."""
    try:
        with open(path, encoding="utf-8") as lines:
            return dict(line.rstrip("\n").split(":", 1) for line in lines if ":" in line)
    except FileNotFoundError:
        return {}


def answer(packet, known):
    """What to say to a question: a verdict and what goes with it."""
    if packet.get("ns") != "auth":
        return {"verdict": "pass"}  # another store has it
    name, operation = packet["to"].partition("@")[0], packet["name"]
    is_host = "@" not in packet["to"]
    if operation == "verify":
        password = ElementTree.fromstring("<q>%s</q>" % packet["body"]).findtext("password") or ""
        right = known.get(name, "")
        if right and hmac.compare_digest(right.encode(), password.encode()):
            return {"verdict": "claim", "answer": {"name": operation, "type": "result"}}
        return {"verdict": "reject", "condition": "not-authorized"}
    if operation == "get":
        # The item "verify" says that there is such an account, and of the host
        # that passwords are verified here.
        item = "<item key='verify' rev='0000000000001'/>" if is_host or name in known else ""
        return {"verdict": "claim", "answer": {"name": operation, "type": "result", "body": item}}
    return {"verdict": "reject", "condition": "not-allowed", "text": "accounts are kept elsewhere"}


def main():
    for line in sys.stdin:
        said = json.loads(line)
        if "packet" in said and "id" in said:
            print(json.dumps({"id": said["id"], **answer(said["packet"], accounts(sys.argv[1]))}), flush=True)
        elif "ping" in said:
            print(json.dumps({"pong": said["ping"]}), flush=True)


if __name__ == "__main__":
    main()
