package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output: the package, or "package [test variant]"
	FailedBuild string
	Test        string
	Output      string
}

// summary prints packages as they end and keeps what is told at the end.
type summary struct {
	out     io.Writer
	output  map[name]*strings.Builder // what each running test has printed
	build   map[string]*strings.Builder
	figures []string
	skips   []string
	failed  bool
}

// name says which test; test is empty for what the package itself prints.
type name struct{ pkg, test string }

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[name]*strings.Builder{}, build: map[string]*strings.Builder{}}
}

// read adds the events of one go test -json until its end. Lines that are no
// events are passed on as they are.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil {
				s.add(e)
			} else {
				s.out.Write(line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (s *summary) add(e event) {
	switch e.Action {
	case "build-output":
		text(s.build, e.ImportPath).WriteString(e.Output)
	case "output":
		text(s.output, name{e.Package, e.Test}).WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

var (
	logged = regexp.MustCompile(`(?m)^\s*[\w.-]+\.go:\d+: (.*)$`)
	figure = regexp.MustCompile(`(?m)^(?:\s*[\w.-]+\.go:\d+: )?figure: (.*)$`)
)

func (s *summary) endTest(e event) {
	key := name{e.Package, e.Test}
	output := text(s.output, key).String()
	delete(s.output, key)
	for _, match := range figure.FindAllStringSubmatch(output, -1) {
		s.figures = append(s.figures, fmt.Sprintf("%s %s: %s", e.Package, e.Test, match[1]))
	}
	switch e.Action {
	case "skip":
		reason := "no reason given"
		if match := logged.FindStringSubmatch(output); match != nil {
			reason = strings.TrimPrefix(match[1], "SKIP: ")
		}
		s.skips = append(s.skips, fmt.Sprintf("SKIP: %s %s: %s", e.Package, e.Test, reason))
	case "fail":
		s.failed = true
		fmt.Fprint(s.out, chatter.ReplaceAllString(output, ""))
	}
}

// chatter is what go test -v says about tests coming and going.
var chatter = regexp.MustCompile(`(?m)^=== (RUN|PAUSE|CONT|NAME)\b.*\n`)

func (s *summary) endPackage(e event) {
	if e.Action == "fail" {
		s.failed = true
		s.printBuild(e)
		// A panic, a race or a timeout ends the process in the middle of tests.
		for key, output := range s.output {
			if key.pkg == e.Package && key.test != "" {
				fmt.Fprint(s.out, chatter.ReplaceAllString(output.String(), ""))
			}
		}
	}
	output := text(s.output, name{e.Package, ""}).String()
	for key := range s.output {
		if key.pkg == e.Package {
			delete(s.output, key)
		}
	}
	if e.Action == "fail" {
		fmt.Fprint(s.out, strings.TrimPrefix(output, "FAIL\n"))
		return
	}
	// The last line is the one that go test prints without -v: "ok  \tpackage\t1.2s".
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	fmt.Fprintln(s.out, lines[len(lines)-1])
}

func (s *summary) printBuild(e event) {
	if output := s.build[e.FailedBuild]; e.FailedBuild != "" && output != nil {
		fmt.Fprint(s.out, output)
		delete(s.build, e.FailedBuild)
	}
}

// close prints what is told at the end.
func (s *summary) close() {
	s.list("figures", s.figures)
	s.list("skipped", s.skips)
}

func (s *summary) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(s.out, "\n%s (%d):\n", title, len(lines))
	for _, line := range lines {
		fmt.Fprintln(s.out, line)
	}
}

// text returns the builder of a key, made on first use.
func text[K comparable](m map[K]*strings.Builder, key K) *strings.Builder {
	if m[key] == nil {
		m[key] = &strings.Builder{}
	}
	return m[key]
}
