package confine

import (
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A filter is what the kernel asks about system calls (seccomp(2)): which
// sockets may be made. Landlock keeps ports of TCP and of no other protocol, not
// even of multipath TCP, with which Go listens where it can.
type filter []unix.SockFilter

// Where the kernel puts the call into the memory of a filter: struct
// seccomp_data, of whose numbers the low halves do.
const (
	callNumber = 0
	callArch   = 4
	firstArg   = 16
	nextArg    = 8
)

// Answers of a filter.
const (
	allow  = unix.SECCOMP_RET_ALLOW
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
	lacks  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)
	unborn = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// sockets returns the filter of the rules.
func (r *Rules) sockets() (filter, error) {
	arch, ok := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
	}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("sockets cannot be kept from a program on %s; write optional = true to have it less confined", runtime.GOARCH)
	}
	const otherABI = 1 << 30 // calls of x32 have this bit in their number
	var f filter
	f.load(callArch).unless(arch, refuse)
	f.load(callNumber).from(otherABI, refuse).is(unix.SYS_IO_URING_SETUP, unborn).unless(unix.SYS_SOCKET, allow)
	f.load(firstArg).is(unix.AF_UNIX, allow).is(unix.AF_NETLINK, allow)
	for _, domain := range []uint32{unix.AF_INET, unix.AF_INET6} {
		if len(r.Connect)+len(r.Listen) > 0 {
			f.socket(domain, unix.SOCK_STREAM, 0).socket(domain, unix.SOCK_STREAM, unix.IPPROTO_TCP)
		}
		if len(r.Connect) > 0 { // to resolve names
			f.socket(domain, unix.SOCK_DGRAM, 0).socket(domain, unix.SOCK_DGRAM, unix.IPPROTO_UDP)
		}
	}
	f.load(firstArg+2*nextArg).is(unix.IPPROTO_MPTCP, lacks)
	f.answer(refuse)
	return f, nil
}

// load takes a number of the call to compare.
func (f *filter) load(offset uint32) *filter {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
	return f
}

// is answers if the number is n.
func (f *filter) is(n, answer uint32) *filter {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: n})
	return f.answer(answer)
}

// unless answers if the number is not n.
func (f *filter) unless(n, answer uint32) *filter {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: n})
	return f.answer(answer)
}

// from answers if the number is n or greater.
func (f *filter) from(n, answer uint32) *filter {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: n})
	return f.answer(answer)
}

func (f *filter) answer(answer uint32) *filter {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: answer})
	return f
}

// socket allows sockets of a domain, a type and a protocol.
func (f *filter) socket(domain, kind, protocol uint32) *filter {
	const kinds = 0xf // the type without its flags
	equal := func(n uint32, rest uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: rest, K: n}
	}
	f.load(firstArg)
	*f = append(*f, equal(domain, 6))
	f.load(firstArg + nextArg)
	*f = append(*f, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: kinds}, equal(kind, 3))
	f.load(firstArg + 2*nextArg)
	*f = append(*f, equal(protocol, 1))
	return f.answer(allow)
}

// enforce binds this thread, and what it executes, to the filter for good.
func (f filter) enforce() error {
	if len(f) == 0 {
		return nil
	}
	if len(f) > math.MaxUint16 {
		return unix.E2BIG
	}
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("keep sockets from it: %w", err)
	}
	return nil
}
