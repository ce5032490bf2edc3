package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A file:
//
//	<namespace owner='ann@example.org' name='roster'>
//	<item key='bob@example.org' rev='1hqfmit9ue4ar'><item name='Bob'/></item>
//	<batch items='2'/>
//	<item ...
//	<item ...
//	</namespace>
//
// A batch says that the items behind it were added together: one alone is none.
const trailer = "</namespace>\n"

func header(owner, ns string) []byte {
	b := append([]byte("<namespace"), xml.AppendAttr(nil, "owner", owner)...)
	return append(xml.AppendAttr(b, "name", ns), ">\n"...)
}

var fileLimits = xml.Limits{Bytes: xdb.MaxValue + 64<<10, Depth: xml.DefaultDepth + 2, Attrs: xml.DefaultAttrs}

// A loader reads a file.
type loader struct {
	*space
	scanner *xml.Scanner
	file    *os.File
	buf     []byte
	base    int64 // where in the file buf begins
	ended   bool  // there is no more of the file than buf

	good  int64 // all before it is complete
	batch int   // items that are still to come for what is read to be complete
	part  []entry
	begun bool // the header was read
	done  bool // the end tag was read
}

// load reads the file of a namespace. If its end is torn, as a crash leaves it
// while items are added, that end is set aside. If it is damaged in another way
// it is left as it is, and nothing can be done with the namespace.
func (s *Store) load(path, owner, ns string) (*space, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := &loader{space: &space{path: path, owner: owner, ns: ns}, scanner: xml.NewScanner(fileLimits), file: f}
	if err := l.read(); err != nil {
		return nil, err
	}
	if l.torn() {
		if err := s.setAside(l); err != nil {
			return nil, err
		}
	}
	for i := range l.items {
		s.clock.Saw(l.items[i].rev)
	}
	l.tail = l.good
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l.space.file = stampOf(info)
	return l.space, nil
}

// read reads to the end of the file, or of what is whole in it.
func (l *loader) read() error {
	for {
		t, n, err := l.scanner.Next(l.buf)
		if err != nil {
			return l.damaged(err)
		}
		if t == nil {
			l.drop(n)
			if l.ended {
				if !l.begun {
					return l.damaged(errors.New("it is not a namespace"))
				}
				return nil
			}
			if err := l.more(); err != nil {
				return err
			}
			continue
		}
		if err := l.take(t, n); err != nil {
			return l.damaged(err)
		}
		l.drop(n)
		if l.done {
			return nil
		}
	}
}

func (l *loader) drop(n int) {
	l.buf = l.buf[n:]
	l.base += int64(n)
}

const chunk = 128 << 10

// more reads a piece of the file.
func (l *loader) more() error {
	room := max(chunk, len(l.buf)) // so that a large item is not copied for each piece
	buf := make([]byte, len(l.buf), len(l.buf)+room)
	copy(buf, l.buf)
	n, err := l.file.ReadAt(buf[len(buf):cap(buf)], l.base+int64(len(buf)))
	l.buf = buf[:len(buf)+n]
	if errors.Is(err, io.EOF) {
		l.ended, err = true, nil
	}
	return err
}

// take takes a token that ends n bytes into buf.
func (l *loader) take(t *xml.Token, n int) (err error) {
	end := l.base + int64(n)
	switch {
	case t.Kind == xml.Open:
		if t.Name != "namespace" || string(t.Attr("owner")) != l.owner || string(t.Attr("name")) != l.ns {
			return fmt.Errorf("it is not the namespace %q of %q", l.ns, l.owner)
		}
		l.begun = true
	case t.Kind == xml.Close:
		l.done = true
		return nil // good is where it begins
	case t.Name == "batch" && len(l.part) == 0 && l.batch == 0:
		if l.batch, err = strconv.Atoi(string(t.Attr("items"))); err != nil || l.batch < 1 {
			return errors.New("a batch of no items")
		}
		return nil
	case t.Name == "item":
		start := bytes.IndexByte(l.buf[:n], '<')
		e := entry{key: string(t.Attr("key")), with: string(t.Attr("with")), at: l.base + int64(start), length: int32(n - start)}
		if e.rev, err = xdb.ParseRev(string(t.Attr("rev"))); err != nil || e.key == "" {
			return fmt.Errorf("an item without key or revision: %.80s", l.buf[start:n])
		}
		l.part = append(l.part, e)
		if l.batch > len(l.part) {
			return nil
		}
		for _, e := range l.part {
			l.put(e)
		}
		l.part, l.batch = l.part[:0], 0
	default:
		return fmt.Errorf("an element %q", t.Name)
	}
	if l.good = end; n < len(l.buf) && l.buf[n] == '\n' {
		l.good++
	}
	return nil
}

// torn reports whether the file ends otherwise than with what is good and the
// end tag.
func (l *loader) torn() bool {
	b := make([]byte, len(trailer)+1)
	n, _ := l.file.ReadAt(b, l.good)
	return !l.done || l.batch > 0 || string(bytes.TrimSpace(b[:n])) != trailer[:len(trailer)-1]
}

// damaged is what is wrong with the file, unless what is wrong is its end, as a
// crash leaves it: zeros, or just a piece of what was to be there.
func (l *loader) damaged(err error) error {
	rest, readErr := io.ReadAll(io.NewSectionReader(l.file, l.good, 1<<30))
	if readErr == nil && l.begun && (len(rest) <= len(trailer) || bytes.IndexByte(rest, 0) >= 0) {
		return nil
	}
	at := l.base + int64(len(l.buf)-len(bytes.TrimLeft(l.buf, " \t\r\n")))
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		at += int64(syntax.Offset)
	}
	before, readErr := io.ReadAll(io.NewSectionReader(l.file, 0, at))
	return errors.Join(readErr, fmt.Errorf("%s:%d: %w", l.path, 1+bytes.Count(before, []byte("\n")), err))
}

// setAside puts the torn end of a file into a file of its own.
func (s *Store) setAside(l *loader) error {
	rest, err := io.ReadAll(io.NewSectionReader(l.file, l.good, 1<<30))
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		s.opt.Log.Error("the end of a file was missing", "file", l.path, "items", len(l.items))
		return s.end(l.file, l.good)
	}
	name := l.path + ".torn-" + time.Now().UTC().Format("20060102T150405.000000000")
	err = s.replace(name, func(f *os.File) error {
		_, err := f.Write(rest)
		return err
	})
	if err != nil {
		return err
	}
	s.opt.Log.Error("the end of a file was torn and is set aside", "file", l.path, "aside", name, "bytes", len(rest), "items", len(l.items))
	return s.end(l.file, l.good)
}

// end puts the end tag at a place of a file, which ends there.
func (s *Store) end(f *os.File, at int64) error {
	if _, err := f.WriteAt([]byte(trailer), at); err != nil {
		return err
	}
	if err := f.Truncate(at + int64(len(trailer))); err != nil {
		return err
	}
	return s.syncFile(f)
}
