package jid

import "strings"

// maxText bounds what is looked at before preparation, which may shorten a text
// to a third (letters of full width are three bytes, those of ASCII one).
const maxText = 3 * (3*MaxPart + 2)

// Parse prepares the address in s. If it is prepared already, the JID shares the
// memory of s and nothing is allocated. An error is an [*Error].
func Parse(s string) (JID, error) {
	if len(s) > maxText {
		return JID{}, &Error{Part: Address, Reason: "is too long"}
	}
	local, domain, resource, err := split(s)
	if err != nil {
		return JID{}, err
	}
	return join(s, local, domain, resource)
}

// MustParse is for addresses written in a program. It panics where [Parse] has
// an error.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// New prepares an address from its parts. The local and the resourcepart may
// be empty, which is without one. An error is an [*Error].
func New(local, domain, resource string) (JID, error) {
	if len(local)+len(domain)+len(resource) > maxText {
		return JID{}, &Error{Part: Address, Reason: "is too long"}
	}
	return join("", local, domain, resource)
}

// split takes an address apart at the first slash and, before that, at the
// first at sign (RFC 7622, 3.1), before anything is mapped, so that no mapping
// makes a separator.
func split(s string) (local, domain, resource string, err error) {
	domain = s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		domain, resource = s[:i], s[i+1:]
		if resource == "" {
			return "", "", "", &Error{Part: Resourcepart, Text: s, Reason: "is empty"}
		}
	}
	if i := strings.IndexByte(domain, '@'); i >= 0 {
		local, domain = domain[:i], domain[i+1:]
		if local == "" {
			return "", "", "", &Error{Part: Localpart, Text: s, Reason: "is empty"}
		}
	}
	return local, domain, resource, nil
}

// join prepares the parts and puts them together. If text is not empty, it is
// what they were cut from, and is kept if preparation changed nothing.
func join(text, local, domain, resource string) (JID, error) {
	l, err := prepareLocal(local)
	if err != nil {
		return JID{}, err
	}
	d, err := prepareDomain(domain)
	if err != nil {
		return JID{}, err
	}
	r, err := prepareResource(resource)
	if err != nil {
		return JID{}, err
	}
	if text == "" || l != local || d != domain || r != resource {
		text = concat(l, d, r)
	}
	j := JID{text: text}
	if l != "" {
		j.domain = uint16(len(l) + 1)
	}
	j.end = j.domain + uint16(len(d))
	return j, nil
}

func concat(local, domain, resource string) string {
	switch {
	case local == "" && resource == "":
		return domain
	case local == "":
		return domain + "/" + resource
	case resource == "":
		return local + "@" + domain
	}
	return local + "@" + domain + "/" + resource
}
