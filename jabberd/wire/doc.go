// Package wire is the only package that knows processes: it starts plugin
// programs, finds them again, and carries the engine's records between them
// and the core.
//
// The protocol is plugin/plugin.proto, which is published: a plugin in any
// language needs that file and gRPC. Two things in it are built for speed. All
// packets of a process go over one stream of frames, and a frame is whatever
// has gathered while the one before was under way ([Link]). And frames are
// written and read by hand, straight from and to the engine's records (package
// frame, which the native link between servers has too). Below
// that is a [Line]: a gRPC stream, or for programs that were written with this
// package two sockets and nothing else.
//
// The core's side: a [Program] is a file and can be asked for its modules. A
// [Runtime] is the folder where a core keeps its processes' sockets; Start gives
// a [Process], newly started through go-plugin, or one that an earlier core has
// left running. A process is trusted to be the one that was meant by its pid
// and start time, by the credentials of its socket, which lies in a folder that
// is closed to others, and by the identity that it tells.
//
// The plugin's side: [Main] is the main function of a program. It speaks the
// handshake of go-plugin, but has its own small server instead of that
// package's: one that neither redirects standard output through the core, since
// it may outlive it, nor dies with it.
package wire
