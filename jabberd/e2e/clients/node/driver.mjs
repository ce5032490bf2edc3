// Plays one XMPP client in the way of a web page, with xmpp.js (WebSocket) or
// strophe.js (WebSocket or BOSH): what commands and events are is said in
// slixmpp_driver.py.

import * as ltx from "ltx";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import requests from "xmlhttprequest-ssl";

process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // the server signs its own certificate
process.removeAllListeners("warning");

// What a page has and node does not.
globalThis.WebSocket = WebSocket;
globalThis.XMLHttpRequest = class extends requests.XMLHttpRequest {
  constructor() {
    super({ rejectUnauthorized: false });
    const parsed = () => (this.responseText ? new DOMParser().parseFromString(this.responseText, "text/xml") : null);
    Object.defineProperty(this, "responseXML", { get: parsed });
  }
};

const { Strophe } = await import("strophe.js"); // defines DOMParser
const { client } = await import("@xmpp/client");

const iqTimeout = 20000; // milliseconds
const asked = new Map(); // what to do with the answer to an IQ, by its id
let library; // what commands are done with
let number = 0;

// Each library: connect, send, drop, disconnect.

class XMPPJS {
  connect({ url, jid, password }) {
    const [username, domain] = jid.split("@");
    this.xmpp = client({ service: url, domain, username, password });
    this.xmpp.on("stanza", (stanza) => heard(stanza.toString()));
    this.xmpp.on("disconnect", () => emit("disconnected"));
    this.xmpp.streamManagement.on("resumed", () => emit("resumed", { jid: String(this.xmpp.jid) }));
    return new Promise((resolve, reject) => {
      this.xmpp.on("error", (error) => reject(error));
      this.xmpp.on("online", (address) => resolve(String(address)));
      this.xmpp.start().catch(reject);
    });
  }
  send(xml) {
    return this.xmpp.send(ltx.parse(xml));
  }
  drop() {
    this.xmpp.socket.socket.terminate();
  }
  disconnect() {
    return this.xmpp.stop();
  }
}

class StropheJS {
  connect({ url, jid, password }) {
    this.connection = new Strophe.Connection(url, {});
    this.connection.addHandler((stanza) => (heard(new XMLSerializer().serializeToString(stanza)), true));
    return new Promise((resolve, reject) => {
      this.connection.connect(jid, password, (status, why) => {
        switch (status) {
          case Strophe.Status.CONNECTED:
            return resolve(this.connection.jid);
          case Strophe.Status.AUTHFAIL:
            return reject(new Error("authentication: " + why));
          case Strophe.Status.CONNFAIL:
            return reject(new Error("connect: " + why));
          case Strophe.Status.DISCONNECTED:
            emit("disconnected");
            this.ended?.();
            return reject(new Error("disconnected"));
        }
      });
    });
  }
  async send(xml) {
    this.connection.send(new DOMParser().parseFromString(xml, "text/xml").documentElement);
    this.connection.flush();
  }
  drop() {
    throw new Error("not with strophe.js");
  }
  disconnect() {
    return new Promise((resolve) => {
      this.ended = resolve;
      this.connection.disconnect("bye");
    });
  }
}

const libraries = { "xmpp.js": XMPPJS, "strophe.js": StropheJS };

const commands = {
  async connect(login) {
    library = new libraries[login.library]();
    const jid = await library.connect(login);
    emit("session", { jid });
    return { jid, resumed: false };
  },
  async message({ to, body, type = "chat", id = newID() }) {
    await library.send(element("message", { to, type, id }, ltx.escapeXMLText(body), "body"));
    return { id };
  },
  async presence({ to, type, show, status, priority }) {
    const children = Object.entries({ show, status, priority }).filter(([, value]) => value !== undefined && value !== "");
    const inner = children.map(([name, value]) => `<${name}>${ltx.escapeXMLText(String(value))}</${name}>`).join("");
    await library.send(element("presence", { to, type, id: newID() }, inner));
    return {};
  },
  async roster() {
    const answer = await ask("get", "", '<query xmlns="jabber:iq:roster"/>');
    return { items: all(answer, "item").map((item) => ({
      jid: item.getAttribute("jid"), name: item.getAttribute("name") || "", subscription: item.getAttribute("subscription") || "none",
      ask: item.getAttribute("ask") || "", groups: all(item, "group").map((group) => group.textContent),
    })) };
  },
  async ping({ to }) {
    const began = Date.now();
    await ask("get", to, '<ping xmlns="urn:xmpp:ping"/>');
    return { seconds: (Date.now() - began) / 1000 };
  },
  async disco({ to }) {
    const info = await ask("get", to, '<query xmlns="http://jabber.org/protocol/disco#info"/>');
    return { features: all(info, "feature").map((feature) => feature.getAttribute("var")).sort(), identities: [], items: [] };
  },
  async drop() {
    library.drop();
    return {};
  },
  async disconnect() {
    await library.disconnect();
    return {};
  },
};

function element(name, attributes, inner, around = "") {
  const attrs = Object.entries(attributes).filter(([, value]) => value).map(([key, value]) => ` ${key}="${ltx.escapeXML(value)}"`).join("");
  return `<${name} xmlns="jabber:client"${attrs}>${around ? `<${around}>${inner}</${around}>` : inner}</${name}>`;
}

const newID = () => `d${++number}`;

const all = (parent, name) => Array.from(parent.getElementsByTagName(name));

function ask(type, to, payload) {
  const id = newID();
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("no answer in 20 s")), iqTimeout);
    asked.set(id, (answer) => {
      clearTimeout(late);
      if (answer.getAttribute("type") === "error") {
        reject(new Error(new XMLSerializer().serializeToString(answer)));
      }
      resolve(answer);
    });
    library.send(element("iq", { type, to, id }, payload)).catch(reject);
  });
}

// heard tells of a stanza, or hands an answer to who has asked.
function heard(xml) {
  const stanza = new DOMParser().parseFromString(xml, "text/xml").documentElement;
  const attribute = (name) => stanza.getAttribute(name) || "";
  const child = (name) => Array.from(stanza.childNodes).find((node) => node.localName === name);
  const id = attribute("id");
  if (stanza.localName === "iq" && ["result", "error"].includes(attribute("type"))) {
    asked.get(id)?.(stanza);
    asked.delete(id);
    return;
  }
  const told = { from: attribute("from"), to: attribute("to"), type: attribute("type"), id, xml };
  for (const name of ["body", "subject", "show", "status", "priority"]) {
    told[name] = child(name)?.textContent;
  }
  told.delayed = child("delay") !== undefined;
  told.condition = told.type === "error" ? child("error")?.childNodes[0]?.localName : undefined;
  emit(stanza.localName, told);
}

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const emit = (event, told) => write({ event, ...told });

// Libraries talk on the console; what is on standard output is for the test.
console.log = console.info = console.debug = console.error;

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: name, ...args } = JSON.parse(line);
  try {
    if (!commands[name]) {
      throw new Error(`no such command: ${name}`);
    }
    write({ answer: id, result: await commands[name](args) });
  } catch (error) {
    write({ answer: id, error: String(error?.message || error) });
  }
}
process.exit(0);
