package c2s_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many tests that are parallel run at once, as many processors as
// there may be: they wait most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
