package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Landlock can keep, by the version of its interface; see landlock(7).
const (
	files    = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // all rights of version 1
	refer    = unix.LANDLOCK_ACCESS_FS_REFER           // version 2
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE        // version 3
	netTCP   = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	device   = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV                                     // version 5
	scopes   = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL // version 6

	wanted = 4 // the version that keeps all that the rules say, with TCP
)

// What a rule gives.
const (
	reading = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writing = files&^(unix.LANDLOCK_ACCESS_FS_MAKE_CHAR|unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK) | refer | truncate

	ofFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | truncate | device
)

// installed are the files, where there are such, that a program needs to run at
// all, to resolve names and to verify certificates.
var installed = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/python3*",
	"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	"/etc/passwd", "/etc/group", "/etc/ssl", "/etc/ca-certificates", "/etc/pki",
	"/dev/zero", "/dev/random", "/dev/urandom",
}

// discard is what every program may write to.
const discard = "/dev/null"

// A ruleset is rules in the kernel that bind nobody yet; -1 is none.
type ruleset struct{ fd int }

// ruleset gives the rules to the kernel.
func (r *Rules) ruleset(program string) (ruleset, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		version = 0
	}
	if version < wanted && !r.Optional {
		return ruleset{-1}, tooOld(version, errno)
	}
	if version == 0 {
		return ruleset{-1}, nil
	}
	return r.make(version, program)
}

func tooOld(version uintptr, errno unix.Errno) error {
	why := fmt.Sprintf("its Landlock has version %d", version)
	if version == 0 {
		why = "it has no Landlock: " + errno.Error()
	}
	return fmt.Errorf("this kernel cannot keep a program to files and ports: %s, and version %d is needed (Linux 6.7); write optional = true to have it less confined", why, wanted)
}

func (r *Rules) make(version uintptr, program string) (ruleset, error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: files}
	for _, x := range []struct {
		since  uintptr
		rights *uint64
		more   uint64
	}{
		{2, &attr.Handled_access_fs, refer}, {3, &attr.Handled_access_fs, truncate}, {4, &attr.Handled_access_net, netTCP},
		{5, &attr.Handled_access_fs, device}, {6, &attr.Scoped, scopes},
	} {
		if version >= x.since {
			*x.rights |= x.more
		}
	}
	connect, anyConnect, err := ports(r.Connect)
	if err != nil {
		return ruleset{-1}, err
	}
	listen, anyListen, err := ports(r.Listen)
	if err != nil {
		return ruleset{-1}, err
	}
	if anyConnect {
		attr.Handled_access_net &^= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if anyListen {
		attr.Handled_access_net &^= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return ruleset{-1}, fmt.Errorf("make Landlock rules: %w", errno)
	}
	set := ruleset{int(fd)}
	return set, errors.Join(
		set.files(r, program, attr.Handled_access_fs),
		set.ports(connect, attr.Handled_access_net&unix.LANDLOCK_ACCESS_NET_CONNECT_TCP),
		set.ports(listen, attr.Handled_access_net&unix.LANDLOCK_ACCESS_NET_BIND_TCP))
}

// files adds what may be read and written, as far as the kernel knows the rights.
func (s ruleset) files(r *Rules, program string, known uint64) error {
	for _, pattern := range installed {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := s.path(path, reading&known); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for _, path := range append([]string{program}, r.Read...) {
		if err := s.path(path, reading&known); err != nil {
			return err
		}
	}
	for _, path := range append([]string{discard}, r.Write...) {
		if err := s.path(path, writing&known); err != nil {
			return err
		}
	}
	return nil
}

// path gives rights to a file, or to a folder and all below it.
func (s ruleset) path(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "allow", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return &fs.PathError{Op: "allow", Path: path, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if err := s.add(unix.LANDLOCK_RULE_PATH_BENEATH, unsafe.Pointer(&rule)); err != nil {
		return &fs.PathError{Op: "allow", Path: path, Err: err}
	}
	return nil
}

// ports gives a right, if it is kept at all, to each of some ports.
func (s ruleset) ports(list []uint64, right uint64) error {
	if right == 0 {
		return nil
	}
	for _, port := range list {
		const rulePort = 2             // LANDLOCK_RULE_NET_PORT
		rule := [2]uint64{right, port} // struct landlock_net_port_attr
		if err := s.add(rulePort, unsafe.Pointer(&rule)); err != nil {
			return fmt.Errorf("allow port %d: %w", port, err)
		}
	}
	return nil
}

func (s ruleset) add(kind uintptr, rule unsafe.Pointer) error {
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), kind, uintptr(rule), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// enforce binds this thread, and what it executes, to the rules for good.
func (s ruleset) enforce() error {
	if s.fd < 0 {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(s.fd), 0, 0); errno != 0 {
		return fmt.Errorf("enforce Landlock rules: %w", errno)
	}
	return unix.Close(s.fd)
}
