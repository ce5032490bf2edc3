package clients

import "encoding/base64"

// A Card is what a vCard says, as far as tests ask (XEP-0054).
type Card struct {
	Name  string
	Photo []byte
}

// SetCard publishes the client's vCard.
func (c *Client) SetCard(card Card) {
	c.t.Helper()
	c.must("card_set", map[string]any{"name": card.Name, "photo": base64.StdEncoding.EncodeToString(card.Photo)}, nil)
}

// Card asks for the vCard of an account.
func (c *Client) Card(of string) Card {
	c.t.Helper()
	var card Card
	c.must("card", map[string]any{"of": of}, &card)
	return card
}

// Block blocks addresses (XEP-0191), Unblock lets them in again.
func (c *Client) Block(jids ...string) {
	c.t.Helper()
	c.must("block", map[string]any{"jids": jids}, nil)
}

// Unblock lets addresses in again.
func (c *Client) Unblock(jids ...string) {
	c.t.Helper()
	c.must("unblock", map[string]any{"jids": jids}, nil)
}

// Blocked returns the addresses that are blocked.
func (c *Client) Blocked() []string {
	c.t.Helper()
	var list struct{ JIDs []string }
	c.must("blocked", nil, &list)
	return list.JIDs
}

// SetPassword changes the password of the client's account (XEP-0077).
func (c *Client) SetPassword(password string) {
	c.t.Helper()
	c.must("password", map[string]any{"password": password}, nil)
}

// Unregister removes the client's account (XEP-0077).
func (c *Client) Unregister() {
	c.t.Helper()
	c.must("unregister", nil, nil)
}

// Bookmark keeps the bookmark of a room in private XML (XEP-0048, XEP-0049).
func (c *Client) Bookmark(room, name string) {
	c.t.Helper()
	c.must("bookmark", map[string]any{"room": room, "name": name}, nil)
}

// Bookmarks returns the rooms of which bookmarks are kept.
func (c *Client) Bookmarks() []string {
	c.t.Helper()
	var list struct{ Rooms []string }
	c.must("bookmarks", nil, &list)
	return list.Rooms
}

// A CommandResult is what became of an ad-hoc command.
type CommandResult struct {
	Status string
	Fields map[string][]string
	Notes  []struct{ Type, Text string }
}

// Command runs an ad-hoc command (XEP-0050) and fills in its form.
func (c *Client) Command(to, node string, fields map[string]any) CommandResult {
	c.t.Helper()
	var result CommandResult
	c.must("command", map[string]any{"to": to, "node": node, "fields": fields}, &result)
	return result
}
