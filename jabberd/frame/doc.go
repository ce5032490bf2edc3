// Package frame holds what two processes tell each other of packets, the records,
// and writes and reads them as frames.
//
// A frame is a list of records, in protobuf's wire format: the message Frame of
// jabberd/wire/plugin/plugin.proto, which is published. It is what has gathered
// while the frame before was on its way. Between the processes of one server
// frames go over gRPC (jabberd/wire), between two servers over TLS
// (plugins/sdk/link); the records are the same, and so is the code for them.
//
// Records are written and read by hand, straight from and to the structs that the
// engine works on. The generated code is the oracle: a property test compares
// both byte for byte, and FuzzFrame checks that what the decoder takes the
// generated code takes too, as the same records.
package frame
