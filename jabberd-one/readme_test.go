package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/command"
)

// TestReadmeNamesAll compares the README with the commands that there are, and
// with the pages that it leads to.
func TestReadmeNamesAll(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{} // "user", "user add"
	for _, example := range regexp.MustCompile("`jabberd ([^`]+)`").FindAllStringSubmatch(string(text), -1) {
		words := append(strings.Fields(example[1]), "")
		for _, name := range strings.Split(words[0], `\|`) {
			shown[name] = true
			for _, sub := range strings.Split(words[1], `\|`) {
				shown[name+" "+sub] = true
			}
		}
	}
	for _, cmd := range command.Root(nil).Commands() {
		if !shown[cmd.Name()] {
			t.Errorf("the README has no jabberd %s", cmd.Name())
		}
		for _, sub := range cmd.Commands() {
			if !shown[cmd.Name()+" "+sub.Name()] {
				t.Errorf("the README has no jabberd %s %s", cmd.Name(), sub.Name())
			}
		}
	}

	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs: %v, %v", pages, err)
	}
	for _, page := range pages {
		if name := "docs/" + filepath.Base(page); !strings.Contains(string(text), name) {
			t.Errorf("the README does not lead to %s", name)
		}
	}
	for _, name := range regexp.MustCompile("[`(]((?:jabberd|docs|conf|basemods|xdb|logmods|plugins)/[a-z0-9/_.-]*)[`)]").FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("..", name[1])); err != nil {
			t.Errorf("the README leads to %s: %v", name[1], err)
		}
	}
}
