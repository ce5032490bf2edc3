package module

import (
	"fmt"
	"strings"
)

// A Type is the type of an argument, as it is written in HCL and as it
// reaches New in JSON.
type Type string

// The types of arguments.
const (
	TypeString   Type = "string"
	TypeBool     Type = "bool"
	TypeInt      Type = "int"
	TypeNumber   Type = "number"
	TypeDuration Type = "duration" // "1m30s", "2d"; a string in JSON
	TypeSize     Type = "size"     // "64MiB", "10kB", or a number of bytes
	TypeStrings  Type = "list(string)"
	TypeMap      Type = "map(string)"
	TypeBlock    Type = "block"  // at most one block, its arguments in Args; an object in JSON
	TypeBlocks   Type = "blocks" // any number of blocks; a list of objects in JSON
)

// An Arg is one argument of a module.
type Arg struct {
	Name     string   `json:"name"`
	Type     Type     `json:"type"`
	Doc      string   `json:"doc,omitempty"`
	Default  string   `json:"default,omitempty"` // as it would be written: 10MiB, true, a,b
	Required bool     `json:"required,omitempty"`
	Optional bool     `json:"optional,omitempty"` // of Block: left out, it is not there at all; else it has its defaults
	Secret   bool     `json:"secret,omitempty"`   // masked wherever the configuration is shown
	Enum     []string `json:"enum,omitempty"`     // the values allowed; empty is any
	Label    string   `json:"label,omitempty"`    // of Blocks: the argument that the block's label is
	Args     []Arg    `json:"args,omitempty"`     // of Block and Blocks

	// What the check of a configuration looks at beyond the argument itself.
	File  File   `json:"file,omitempty"`  // it names such a file
	Needs string `json:"needs,omitempty"` // given, it has no effect without this module in the same process
	Hosts string `json:"hosts,omitempty"` // it names hosts, each of which is to have this module
}

// A File is what is in a file that an argument names. A relative name is below the
// data folder, but for a program's.
type File string

// The files that a check can look into.
const (
	FileCertificate File = "certificate" // a chain, PEM
	FileKey         File = "key"         // of the certificate in the same block, PEM; left out, it is in the same file
	FileAuthorities File = "authorities" // certificates of those who sign others, PEM
	FileProgram     File = "program"     // a path, or a name to be looked for in PATH; of a list, the first
)

// reserved are the names that every block of a chain and section has for
// the server's own settings. A module whose arguments use one is refused.
var reserved = []string{"process", "timeout", "queue", "optional", "observe", "on_crash", "uplink", "fallback", "label"}

// An ArgError says what is wrong with an argument. The configuration shows it
// at the argument's place in the file.
type ArgError struct {
	Path []string // names of blocks and the argument; the index of one of several blocks as a number
	Text string
}

// Error returns the path and the text.
func (e *ArgError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// BadArg returns an *ArgError for an argument, "a.b" being b in block a.
func BadArg(name, format string, values ...any) error {
	return &ArgError{Path: strings.Split(name, "."), Text: fmt.Sprintf(format, values...)}
}
