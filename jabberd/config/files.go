package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
)

// CheckFiles looks into the files that arguments name: certificates, keys, programs. What
// is missing or does not fit keeps a server from starting. It is for a configuration that
// is right otherwise, and only reads.
func (f *File) CheckFiles() (diags hcl.Diagnostics) {
	if f.failed {
		return nil
	}
	for i := range f.Sections {
		for n, t := range f.traces[i].links {
			for _, d := range f.wrongFiles(t, &f.Sections[i].Chain[n]) {
				if f.Sections[i].Chain[n].Optional {
					d.Severity = hcl.DiagWarning
				}
				diags = append(diags, d)
			}
		}
	}
	return diags
}

// wrongFiles complains of the files that the arguments of a link name.
func (f *File) wrongFiles(t linkTrace, link *module.Link) (diags hcl.Diagnostics) {
	for _, a := range given(t, link) {
		if at, err := f.lookInto(a); err != nil {
			diags = append(diags, complaint(locate(t.block, at.path), "Wrong file", "%s: %s", strings.Join(at.path, "."), dotted(err.Error())))
		}
	}
	return diags
}

// lookInto checks the file of one argument. It returns the argument that is wrong.
func (f *File) lookInto(a givenArg) (at givenArg, err error) {
	if a.text() == "" {
		return a, nil
	}
	switch a.arg.File {
	case module.FileCertificate:
		return f.lookIntoPair(a)
	case module.FileAuthorities:
		text, err := contentOf(below(f.Engine.DataDir, a.text()))
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = errors.New("there is no certificate in it")
		}
		return a, err
	case module.FileProgram:
		return a, lookForProgram(a)
	}
	return a, nil // a key goes with its certificate
}

// lookIntoPair checks a certificate and its key, which may be in the same file.
func (f *File) lookIntoPair(cert givenArg) (at givenArg, err error) {
	key, apart := cert.beside(func(a *module.Arg) bool { return a.File == module.FileKey })
	if !apart || key.text() == "" {
		key = cert
	}
	chain, err := contentOf(below(f.Engine.DataDir, cert.text()))
	if err == nil && !hasCertificate(chain) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return cert, err
	}
	private, err := contentOf(below(f.Engine.DataDir, key.text()))
	if err == nil {
		_, err = tls.X509KeyPair(chain, private)
	}
	return key, err
}

func hasCertificate(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return true
		}
	}
	return false
}

// largestFile bounds what is read: a chain of certificates has some KiB, the
// authorities of a system less than one MiB.
const largestFile = 16 << 20

func contentOf(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s", name)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > largestFile:
		return nil, fmt.Errorf("%s is no file of at most 16 MiB", name)
	}
	return os.ReadFile(name)
}

// lookForProgram looks for a program as it will be when it is started: in the PATH that
// the file gives it, or in that of the check.
func lookForProgram(a givenArg) error {
	name := a.text()
	if strings.Contains(name, "/") {
		return isProgram(name)
	}
	search := os.Getenv("PATH")
	if env, ok := a.beside(func(a *module.Arg) bool { return a.Name == "env" }); ok {
		values, _ := env.value.(map[string]any)
		if own, ok := values["PATH"].(string); ok {
			search = own
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if filepath.IsAbs(dir) && isProgram(filepath.Join(dir, name)) == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is in no folder of PATH, which is %s", name, search)
}

func isProgram(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is no program: nobody may execute it", name)
	}
	return nil
}
