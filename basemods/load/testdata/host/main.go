// A program that loads the service of a shared object, as the program plugins
// does, and prints what it is or why it was refused.
package main

import (
	"fmt"
	"os"

	"github.com/jabberii/server/basemods/load"
)

func main() {
	m := load.With()
	s, err := m.Pick(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	h, err := s.New(nil, []byte(`{"text":"x"}`))
	fmt.Println(s.Name, s.Args[0].Name, h != nil, err)
}
