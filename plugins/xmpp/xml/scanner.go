package xml

import "bytes"

// Limits bound what an element may cost. A field that is zero means the default.
// One listener has one set of them for all of its connections. Besides, a
// namespace has at most 512 bytes, and an element declares at most 128 prefixes
// at once.
type Limits struct {
	Bytes int // of a top-level element, from '<' to '>', and of its body; default 256 KiB
	Depth int // of elements in one another, the top-level one included; default 128
	Attrs int // of one start tag, declarations of namespaces included; default 64
}

// The defaults of [Limits].
const (
	DefaultBytes = 256 << 10
	DefaultDepth = 128
	DefaultAttrs = 64
)

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	l.Bytes = min(l.Bytes, 1<<30)
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Attrs <= 0 {
		l.Attrs = DefaultAttrs
	}
	return l
}

// Scanner finds the elements of one stream in bytes that arrive in any pieces.
// It does no I/O and holds no bytes: its caller has them in a buffer and calls
// [Scanner.Next] whenever there are more. A [Reader] does that for a
// connection with a goroutine of its own.
//
// What has been scanned of an element is not scanned again when more of it
// arrives, so that pieces of one byte cost no more than a constant factor.
// Between two elements a Scanner needs a few hundred bytes of memory; see
// [Scanner.Park]. It is not for concurrent use.
type Scanner struct {
	surroundings
	err error // once it has failed, that is all it says

	// Where it is in the element at the start of the buffer.
	state state
	pos   int    // scanned so far
	mark  int    // where the tag, the text or the CDATA section at pos starts
	seek  int    // how far the end of an incomplete tag has been looked for
	quote byte   // the quote that the seek is in
	open  []span // the names of the elements that are open

	bindings []binding
	top      element
	edits    []edit
	child    int32 // the end of the name on the start tag of the current child

	tag     tag
	scratch []byte
	token   Token
}

// surroundings are what the elements of a stream stand in.
type surroundings struct {
	limits   Limits
	phase    phase
	declared bool   // an XML declaration has been seen
	root     string // the name on its start tag, as written
	lang     string
	outer    []outer
}

type phase uint8

const (
	beforeStream phase = iota
	inStream
	emptyStream // <stream/>: its end is still to be reported
	afterStream
)

type state uint8

const (
	inMarkup state = iota // at a '<', or before one
	inText
	inCDATA
	inTag // in the search of the end of a tag
)

// element is what is kept of the top-level start tag until its end is found.
type element struct {
	name    qname
	attrs   []attribute
	ns      string // of the element
	content string // the default namespace in it
	body    span   // from the start tag to the end tag
}

// NewScanner returns a scanner that waits for the start of a stream.
func NewScanner(limits Limits) *Scanner {
	s := new(Scanner)
	s.SetLimits(limits)
	return s
}

// SetLimits changes the limits from the next element on, say after a client has
// authenticated.
func (s *Scanner) SetLimits(limits Limits) { s.limits = limits.withDefaults() }

// SetLang sets the language of elements that don't name one. The start of a
// stream sets it too; this is for those that have none, WebSocket's.
func (s *Scanner) SetLang(lang string) { s.lang = lang }

// Reset makes the scanner wait for the start of a new stream, as after STARTTLS
// and SASL. The limits stay. Bytes that arrived before TLS are the caller's to
// drop.
func (s *Scanner) Reset() {
	s.startElement()
	s.phase, s.err = beforeStream, nil
	s.declared, s.root, s.lang, s.outer = false, "", "", nil
}

// Park gives back the memory that is needed within an element only. The owner
// of a connection calls it when that falls idle; within an element it does
// nothing. The last token is lost.
func (s *Scanner) Park() {
	if s.pos > 0 {
		return
	}
	s.open, s.bindings, s.edits, s.scratch = nil, nil, nil, nil
	s.top, s.tag, s.token = element{}, tag{}, Token{}
}

// forget makes a scanner that is not within an element ready for another
// stream's: it keeps room for a common element, and no bytes of the last.
func (s *Scanner) forget() {
	const roomy = 4 << 10
	if cap(s.scratch) > roomy {
		s.scratch = nil
	}
	if cap(s.edits) > roomy/64 {
		s.edits = nil
	}
	attrs := s.token.Attrs[:cap(s.token.Attrs)]
	clear(attrs)
	s.token = Token{Attrs: attrs[:0]}
	s.top.ns, s.top.content = "", ""
	s.surroundings = surroundings{}
}

// Next looks for the next token in b, which holds the bytes of the stream that
// have not been consumed, from the first of them. It returns how many the caller
// has to drop before it calls again, and the token, which points into b and
// is valid until then.
//
// If there is no complete token the result is nil and no error: the caller
// drops n bytes (white space between elements, which clients send to keep a
// connection alive), keeps the others, and calls again when there are more.
// An error is a [*SyntaxError] and final.
func (s *Scanner) Next(b []byte) (t *Token, n int, err error) {
	if s.err != nil {
		return nil, 0, s.err
	}
	t, n, err = s.next(b)
	s.err = err
	return t, n, err
}

func (s *Scanner) next(b []byte) (*Token, int, error) {
	if s.phase == emptyStream {
		s.phase = afterStream
		s.token = Token{Kind: Close}
		return &s.token, 0, nil
	}
	n := 0
	if s.pos == 0 {
		var err error
		if n, err = s.skip(b); err == errShort {
			return nil, n, nil
		} else if err != nil {
			return nil, 0, err
		}
		b = b[n:]
	}
	if len(b) < max(s.pos, 1) {
		return nil, n, nil
	}
	full := len(b) >= s.limits.Bytes
	if full {
		b = b[:s.limits.Bytes]
	}
	end, err := s.scan(b)
	if err == errShort {
		if full {
			return nil, n, limit(len(b), "an element that is too long")
		}
		return nil, n, nil
	}
	if err != nil {
		return nil, n, err
	}
	return &s.token, n + end, nil
}

// skip returns the length of what may stand before the next tag.
func (s *Scanner) skip(b []byte) (n int, err error) {
	n = spaces(b)
	if s.phase != beforeStream || s.declared {
		return n, nil
	}
	length, err := declaration(b[n:])
	if err != nil || length == 0 {
		return n, err
	}
	s.declared = true
	n += length
	return n + spaces(b[n:]), nil
}

func spaces(b []byte) (n int) {
	for n < len(b) && isSpace(b[n]) {
		n++
	}
	return n
}

// startElement forgets the element that was scanned.
func (s *Scanner) startElement() {
	s.state, s.pos, s.mark, s.seek, s.quote = inMarkup, 0, 0, 0, 0
	s.open, s.bindings, s.edits = s.open[:0], s.bindings[:0], s.edits[:0]
}

// scan goes on with the token at the start of b and returns where it ends. It
// returns errShort if it doesn't end in b.
func (s *Scanner) scan(b []byte) (int, error) {
	if s.pos == 0 {
		s.scratch = s.scratch[:0]
		if b[0] != '<' {
			return 0, s.stray(b)
		}
	}
	switch s.phase {
	case beforeStream:
		return s.header(b)
	case afterStream:
		return 0, &SyntaxError{Err: ErrFormat, Reason: "something after the end of the stream"}
	}
	if len(s.open) == 0 && len(b) > 1 && b[1] == '/' {
		return s.close(b)
	}
	if err := s.content(b); err != nil {
		return 0, err
	}
	end := s.pos
	if err := s.finish(b, end); err != nil {
		return 0, err
	}
	s.startElement()
	return end, nil
}

// stray says what is wrong with something that is no tag between elements.
func (s *Scanner) stray(b []byte) error {
	if _, _, err := decode(b, 0); err != nil {
		return err
	}
	if s.phase == beforeStream {
		return malformed(0, "something before the start of the stream")
	}
	return &SyntaxError{Err: ErrFormat, Reason: "text between elements"}
}

// content scans until the top-level element is closed.
func (s *Scanner) content(b []byte) (err error) {
	for {
		switch s.state {
		case inText:
			s.pos, err = scanText(b, s.mark, s.pos)
			s.state = inMarkup
			if err != nil {
				s.state = inText
				return err
			}
		case inCDATA:
			if s.pos, err = scanCDATA(b, s.mark, s.pos); err != nil {
				return err
			}
			s.state, s.mark = inText, s.pos
		default:
			closed, err := s.markup(b)
			if closed || err != nil {
				return err
			}
		}
	}
}

// markup scans what begins with the '<' at pos.
func (s *Scanner) markup(b []byte) (closed bool, err error) {
	at := s.pos
	if s.state == inTag {
		at = s.mark
		if !s.findEnd(b) {
			return false, errShort
		}
	}
	if at+1 >= len(b) {
		return false, errShort
	}
	switch b[at+1] {
	case '/':
		closed, err = s.endTag(b, at)
	case '!':
		return false, s.section(b, at)
	case '?':
		return false, restricted(at, "a processing instruction")
	default:
		closed, err = s.startTag(b, at)
	}
	if err == errShort {
		s.postpone(b, at)
	}
	return closed, err
}

// postpone notes that the tag at this place isn't complete, so that only its
// end is looked for when there are more bytes.
func (s *Scanner) postpone(b []byte, at int) {
	if s.state != inTag {
		s.state, s.mark, s.seek, s.quote = inTag, at, at+1, 0
		s.pos = at + 1
	}
	s.findEnd(b)
}

// findEnd looks for the '>' that ends the tag at mark, from seek on.
func (s *Scanner) findEnd(b []byte) bool {
	for s.seek < len(b) {
		if s.quote != 0 {
			i := bytes.IndexByte(b[s.seek:], s.quote)
			if i < 0 {
				s.seek = len(b)
				break
			}
			s.seek += i + 1
			s.quote = 0
			continue
		}
		c := b[s.seek]
		s.seek++
		switch c {
		case '>':
			return true
		case '"', '\'':
			if b[s.mark+1] != '/' {
				s.quote = c
			}
		}
	}
	return false
}

// section scans the start of a CDATA section.
func (s *Scanner) section(b []byte, at int) error {
	have := b[at:min(len(b), at+len(cdataStart))]
	if string(have) != cdataStart[:len(have)] {
		return restricted(at, "a comment or a document type")
	}
	if len(have) < len(cdataStart) {
		return errShort
	}
	if len(s.open) == 0 {
		return &SyntaxError{Err: ErrFormat, Offset: at, Reason: "text between elements"}
	}
	s.state, s.pos, s.mark = inCDATA, at+len(cdataStart), at+len(cdataStart)
	return nil
}

// startTag scans the start tag at this place.
func (s *Scanner) startTag(b []byte, at int) (closed bool, err error) {
	if err := scanTag(b, at, &s.tag, s.limits.Attrs); err != nil {
		return false, err
	}
	level := len(s.open) + 1
	if level > s.limits.Depth {
		return false, limit(at, "elements too deep in one another")
	}
	name := s.tag.name
	if level == 2 {
		s.child = name.local.end
	}
	if err := s.names(b, level); err != nil {
		return false, err
	}
	switch level {
	case 1:
		s.startTop(b)
	case 2:
		s.startChild(b)
	}
	s.state, s.pos, s.mark = inText, s.tag.end, s.tag.end
	if s.tag.empty {
		s.unbind(max(level, 2)) // those of the top-level element are still needed
		return level == 1, nil
	}
	s.open = append(s.open, name.whole())
	return false, nil
}

// names checks the names of the tag: declarations, prefixes, no attribute twice.
func (s *Scanner) names(b []byte, level int) error {
	attrs, name := s.tag.attrs, s.tag.name
	if len(attrs) > 0 {
		if err := s.bind(b, level); err != nil {
			return err
		}
		if err := s.unique(b); err != nil {
			return err
		}
	}
	if name.prefix.start != name.prefix.end {
		if string(name.prefix.in(b)) == "xmlns" {
			return malformed(int(name.prefix.start), "an element with the prefix xmlns")
		}
		if err := s.resolve(b, name.prefix, level); err != nil {
			return err
		}
	}
	for i := range attrs {
		prefix := attrs[i].name.prefix
		if prefix.start == prefix.end || string(prefix.in(b)) == "xmlns" {
			continue
		}
		if err := s.resolve(b, prefix, level); err != nil {
			return err
		}
	}
	return nil
}

// endTag scans the end tag at this place.
func (s *Scanner) endTag(b []byte, at int) (closed bool, err error) {
	level := len(s.open)
	if level == 0 || s.open[level-1] == (span{}) { // which is where Check starts
		return false, malformed(at, "an end tag without start")
	}
	i, err := scanEnd(b, at, s.open[level-1].in(b))
	if err != nil {
		return false, err
	}
	if level == 1 {
		s.top.body.end = int32(at)
	}
	s.unbind(max(level, 2))
	s.open = s.open[:level-1]
	s.state, s.pos, s.mark = inText, i, i
	return level == 1, nil
}

// scanEnd scans the end tag of an element with this name.
func scanEnd(b []byte, at int, name []byte) (next int, err error) {
	i := at + len("</")
	have := b[i:min(len(b), i+len(name))]
	if !bytes.Equal(have, name[:len(have)]) {
		return i, malformed(at, "an end tag of something else")
	}
	for i += len(name); i < len(b); i++ {
		switch {
		case b[i] == '>':
			return i + 1, nil
		case !isSpace(b[i]):
			return i, malformed(at, "an end tag of something else")
		}
	}
	return i, errShort
}
