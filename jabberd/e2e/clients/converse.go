package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// page is what Converse.js stands on; the settings come from the address.
const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Converse.js</title>
<script>
window.problems = [];
addEventListener('error', (e) => problems.push(String(e.message)));
addEventListener('unhandledrejection', (e) => problems.push(String(e.reason && e.reason.stack || e.reason)));
for (const level of ['error', 'warn']) {
	const say = console[level];
	console[level] = (...what) => { problems.push(what.map(String).join(' ')); say.apply(console, what); };
}
</script>
<link rel="stylesheet" href="/dist/converse.min.css">
</head>
<body class="converse-fullscreen"><div id="conversejs-bg"></div>
<script type="module">
import converse from '/dist/converse.min.js';
converse.plugins.add('listen', { initialize() { window.api = this._converse.api; } });
converse.initialize(Object.assign(JSON.parse(decodeURIComponent(location.hash.slice(1))), {
	view_mode: 'fullscreen', discover_connection_methods: false, show_controlbox_by_default: true, auto_reconnect: true, enable_smacks: true,
	whitelisted_plugins: ['listen'], loglevel: 'debug', assets_path: '/dist/', i18n: 'en', allow_non_roster_messaging: true,
}));
</script></body></html>
`

// Converse is Converse.js in a browser.
type Converse struct{ *Page }

// OpenConverse opens the page in a browser of its own, which knows nothing of before,
// and logs in by its form. Converse.js sends presence by itself.
func OpenConverse(t testing.TB, login WebLogin) Converse {
	t.Helper()
	dir := installed(t, "converse", "Converse.js")
	mux := http.NewServeMux()
	mux.Handle("/dist/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	setting := "websocket_url"
	if strings.HasPrefix(login.URL, "http") {
		setting = "bosh_service_url"
	}
	settings, err := json.Marshal(map[string]string{setting: login.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := Converse{open(t, "about:blank")}
	c.call("Page.navigate", map[string]any{"url": server.URL + "/#" + strings.ReplaceAll(string(settings), `"`, "%22")}, nil)
	c.await("the form", "document.querySelector('input[name=jid]') && document.querySelector('input[name=password]')")
	c.fill("input[name=jid]", login.JID)
	c.fill("input[name=password]", login.Password)
	c.click("converse-login-form [type=submit]")
	c.await("the roster", "window.api?.connection.connected() && document.querySelector('converse-roster .list-item')")
	return c
}

// fill puts a text into a field as a person does.
func (c Converse) fill(field, text string) {
	c.t.Helper()
	c.run(fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.focus(); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); })()`, field, text))
}

// click waits for something and clicks on it.
func (c Converse) click(on string) {
	c.t.Helper()
	c.await(on, fmt.Sprintf("document.querySelector(%q)", on))
	c.run(fmt.Sprintf("document.querySelector(%q).click()", on))
}

// GoOnline does nothing, Converse.js has done it by itself.
func (c Converse) GoOnline() {}

// Subscribe fills in the form that adds a contact.
func (c Converse) Subscribe(jid string) {
	c.t.Helper()
	c.click("a.add-contact")
	const form = "converse-add-contact-modal form "
	c.await("the form of contacts", fmt.Sprintf("document.querySelector(%q)", form+"input[name=jid]"))
	c.fill(form+"input[name=jid]", jid)
	c.click(form + "[type=submit]")
}

// Approve waits for a request in the roster and says yes. Where Converse.js has asked
// itself, it says so by itself.
func (c Converse) Approve(jid string) {
	c.t.Helper()
	c.AwaitContact(jid)
}

// contact is the element of the roster that is a contact whom we see and who sees us.
func contact(jid string) string {
	return fmt.Sprintf(`converse-roster .list-item.both:has([data-jid=%q])`, jid)
}

// AwaitContact waits until the roster shows the contact.
func (c Converse) AwaitContact(jid string) {
	c.t.Helper()
	c.await(jid+" in the roster", fmt.Sprintf("document.querySelector(%q)", contact(jid)))
}

// AwaitThere looks at the sign beside the contact.
func (c Converse) AwaitThere(jid string) {
	c.t.Helper()
	c.await(jid+" to be there", fmt.Sprintf("document.querySelector(%q)", contact(jid)+"[data-status=online]"))
}

// AwaitGone looks at the sign beside the contact.
func (c Converse) AwaitGone(jid string) {
	c.t.Helper()
	c.await(jid+" to be gone", fmt.Sprintf("document.querySelector(%q)", contact(jid)+"[data-status=offline]"))
}

// Say opens the chat with a contact, types a message and sends it.
func (c Converse) Say(to, body string) {
	c.t.Helper()
	c.click(contact(to) + " .open-chat")
	field := fmt.Sprintf("converse-chat[jid=%q] textarea.chat-textarea", to)
	c.await("the chat", fmt.Sprintf("document.querySelector(%q)", field))
	c.fill(field, body)
	c.run(fmt.Sprintf("document.querySelector(%q).dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', code: 'Enter', keyCode: 13, bubbles: true}))", field))
	c.Hear(to, body)
}

// Hear waits until a message stands in the chat with a contact, which it opens when the
// roster says that there is something new.
func (c Converse) Hear(from, body string) {
	c.t.Helper()
	texts, unread := fmt.Sprintf("converse-chat[jid=%q] .chat-msg__text", from), contact(from)+" .open-chat:has(.msgs-indicator)"
	c.await(fmt.Sprintf("%q in the chat with %s", body, from), fmt.Sprintf(
		"document.querySelector(%q)?.click() || Array.from(document.querySelectorAll(%q)).some((e) => e.textContent.includes(%q))", unread, texts, body))
}

// AwaitResumed waits until the page has resumed its session.
func (c Converse) AwaitResumed() {
	c.t.Helper()
	c.await("the session to be resumed", "window.api.connection.get().restored && window.api.connection.connected()")
}

// Leave logs out and closes the browser.
func (c Converse) Leave() {
	c.t.Helper()
	c.run("window.api.user.logout().then(() => true)")
	c.await("the end of the session", "!window.api.connection.connected()")
	c.process.stop()
}
