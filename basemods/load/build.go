package load

import (
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"strings"
)

// builds compares what a shared object and this program were built with.
func builds(path string) string {
	self, ok := debug.ReadBuildInfo()
	if !ok {
		return "how this program was built is not known"
	}
	theirs, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("this program was built with %s, how it was built is not known: %v", describe(self), err)
	}
	return fmt.Sprintf("it was built with %s, this program with %s", describe(theirs), describe(self))
}

// describe lists what has to be the same on both sides.
func describe(b *debug.BuildInfo) string {
	parts := []string{b.GoVersion}
	for _, s := range b.Settings {
		switch s.Key {
		case "-race", "-trimpath", "-tags", "-gcflags", "GOAMD64", "vcs.revision":
			parts = append(parts, s.Key+"="+s.Value)
		}
	}
	return strings.Join(parts, " ")
}
