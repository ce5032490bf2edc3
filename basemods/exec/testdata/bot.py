"""A program that speaks JSON and does what the packets ask of it."""
import json
import os
import sys
import time


def say(**words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def log(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def verdict(number, p):
    word = p.get("body", "")
    answer = p.get("from")
    if p.get("kind") == "xdb":
        say(id=number, verdict="claim", answer={"name": p["name"], "type": "result", "body": "<item key='%s'/>" % p.get("ns", "")})
    elif p.get("type") == "error":  # of what it has sent
        say(id=number, verdict="claim")
    elif word == "reject":
        say(id=number, verdict="reject", condition="not-allowed", text="no")
    elif word == "change":
        say(id=number, verdict="pass", packet={"body": "<x/>", "to": "Other@example.org"})
    elif word == "break":
        say(id=number, verdict="pass", packet={"body": "<x>"})
    elif word == "reply":
        say(id=number, verdict="claim", deliver=[
            {"name": "message", "to": answer, "from": p["to"], "body": "<body>%d</body>" % n} for n in range(3)])
    elif word == "forge":
        say(id=number, verdict="claim", deliver=[{"name": "message", "to": answer, "from": "else.example.net"}])
    elif word == "die":
        os._exit(3)
    elif word == "die once":
        if not p.get("redelivered"):
            os._exit(3)
        say(id=number, verdict="claim", deliver=[{"name": "message", "to": answer, "body": "<body>again</body>"}])
    elif word == "hang":
        log("debug: hangs")
        time.sleep(3600)
    elif word == "ignore":
        log("info: ignores it")
    elif word == "garbage":
        print("this is no JSON", flush=True)
        say(id=number, verdict="claim")
    elif word == "maybe":
        say(id=number, verdict="maybe")
    elif word == "long":
        say(id=number, verdict="claim", text="x" * 3000)
    elif word == "ask":
        say(ask="q", packet={"name": "get", "to": "ann@example.org", "from": "bot.example.org", "ns": "urn:x"})
        say(ask="r", packet={"name": "get", "to": "ann@example.com", "from": "bot.example.org", "ns": "urn:x"})
        say(id=number, verdict="claim")
    elif word == "send":
        say(deliver=[
            {"name": "message", "to": "ann@example.org", "body": "<body>mine</body>", "tag": "good"},
            {"name": "message", "to": "nobody@example.com", "tag": "bounced"},
            {"name": "message", "from": "else.example.net", "to": "ann@example.org", "tag": "forged"},
            {"name": "me ss", "to": "ann@example.org", "tag": "broken"}])
        say(id=number, verdict="claim")
    elif word == "pause":
        for n in range(4):
            if n == 2:
                time.sleep(1.2)
            say(deliver=[{"name": "message", "to": "ann@example.org", "body": "<n>%d</n>" % n}])
        time.sleep(0.2)
        log("info: has sent all")
        say(id=number, verdict="claim")
    elif word == "claim and flood":
        say(id=number, verdict="claim")
        for n in range(5000):
            say(deliver=[{"name": "message", "to": "ann@example.org", "body": "<n>%d</n>" % n}])
    elif word.startswith("flood"):
        for n in range(int(word[len("flood"):])):
            say(deliver=[{"name": "message", "to": "ann@example.org", "body": "<n>%d</n>" % n}])
        say(id=number, verdict="claim")
    else:
        say(id=number, verdict=word)


def main():
    log("info: begins in " + os.getcwd() + " with " + os.environ.get("WORD", "nothing"))
    for line in sys.stdin:
        said = json.loads(line)
        if "id" in said:
            verdict(said["id"], said["packet"])
        elif "ping" in said and os.environ.get("WORD") != "deaf":
            say(pong=said["ping"])
        elif "settled" in said:
            for s in said["settled"]:
                log("info: %s was %s %s" % (s["tag"], s["result"], s.get("condition", "")))
        elif "answer" in said:
            log("info: %s is %s" % (said["answer"], said.get("condition") or said["packet"]["body"]))
    log("info: ends")


main()
