package module

import (
	"fmt"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
)

// Check reports what is wrong with a description that came from elsewhere: a
// third party's program may be in any language and has not met Define.
func (m Module) Check() error {
	if !isName(m.Name) {
		return fmt.Errorf("module %q: a name is a letter, then letters, digits, _ and -", m.Name)
	}
	if slices.Contains(reserved, m.Name) {
		return fmt.Errorf("module %s: the name is the server's own", m.Name)
	}
	if len(m.Kinds) == 0 && len(m.Services) == 0 {
		return fmt.Errorf("module %s: it may stand in no kind of section", m.Name)
	}
	for _, k := range slices.Concat(m.Kinds, m.Needs) {
		if k >= packet.NumKinds {
			return fmt.Errorf("module %s: there is no kind %d", m.Name, k)
		}
	}
	switch m.Claims {
	case ClaimsSome, ClaimsAll, ClaimsRest, ClaimsNone:
	default:
		return fmt.Errorf("module %s: claims is %q, not all, rest, none or left out", m.Name, m.Claims)
	}
	for _, x := range m.XEPs {
		if x.Number < 1 || x.Number > 9999 || x.Name == "" || x.Version == "" {
			return fmt.Errorf("module %s: %s wants a number from 1 to 9999, a name and a version", m.Name, x.ID())
		}
	}
	if err := checkArgs(m.Args, 0); err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	for _, s := range m.Services {
		if len(s.Services) > 0 {
			return fmt.Errorf("module %s: service %s has services of its own", m.Name, s.Name)
		}
		if err := s.Check(); err != nil {
			return fmt.Errorf("module %s: %w", m.Name, err)
		}
	}
	return nil
}

func checkArgs(args []Arg, depth int) error {
	const deepest = 16
	if depth == deepest {
		return fmt.Errorf("blocks are more than %d deep", deepest)
	}
	seen := map[string]bool{}
	for _, a := range args {
		switch {
		case !isName(a.Name):
			return fmt.Errorf("argument %q: a name is a letter, then letters, digits, _ and -", a.Name)
		case depth == 0 && slices.Contains(reserved, a.Name):
			return fmt.Errorf("argument %s: the name is the server's own", a.Name)
		case seen[a.Name]:
			return fmt.Errorf("argument %s is there twice", a.Name)
		}
		seen[a.Name] = true
		if err := a.checkType(depth); err != nil {
			return fmt.Errorf("argument %s: %w", a.Name, err)
		}
	}
	return nil
}

func (a *Arg) checkType(depth int) error {
	switch a.Type {
	case TypeBlock, TypeBlocks:
		return checkArgs(a.Args, depth+1)
	case TypeString, TypeBool, TypeInt, TypeNumber, TypeDuration, TypeSize, TypeStrings, TypeMap:
	default:
		return fmt.Errorf("there is no type %q", a.Type)
	}
	switch a.File {
	case "", FileCertificate, FileKey, FileAuthorities, FileProgram:
	default:
		return fmt.Errorf("there is no file %q", a.File)
	}
	if a.Default == "" {
		return nil
	}
	_, err := a.value()
	return err
}

// isName reports whether s can be written as the name of a block or argument.
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '_' && r != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
