package wire

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what codec falls back to
	"google.golang.org/grpc/mem"
)

// A stream is a Line over a gRPC stream, of the client or of the server.
type stream struct {
	messages
	shut func() error
	cut  func()
}

// messages is what both ends of a gRPC stream can do.
type messages interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// outgoing and incoming are a plugin.Frame to gRPC, as bytes.
type outgoing struct{ frame mem.Buffer }

type incoming struct{ frame []byte }

func (s *stream) Send(frame *[]byte, back *buffers) error {
	return s.SendMsg(&outgoing{mem.NewBuffer(frame, back)})
}

func (s *stream) Receive() (records []byte, more bool, err error) {
	var in incoming
	err = s.RecvMsg(&in)
	return in.frame, false, err
}

func (s *stream) Shut() error { return s.shut() }

func (s *stream) Cut() { s.cut() }

// dialStream opens a line as the client of method Link.
func dialStream(ctx context.Context, conn *grpc.ClientConn, desc *grpc.StreamDesc, method string) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		cancel()
		return nil, err
	}
	return &stream{messages: s, shut: s.CloseSend, cut: cancel}, nil
}

// serveStream is the line of a stream that a client opened. gRPC ends such a
// stream when the method returns, so the method must return when cut is done.
func serveStream(s grpc.ServerStream) (line *stream, cut <-chan struct{}) {
	ctx, cancel := context.WithCancel(s.Context())
	return &stream{messages: s, shut: func() error { return nil }, cut: cancel}, ctx.Done()
}

// codec is protobuf for gRPC, except that frames stay the bytes they are.
type codec struct{ rest encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Name() string { return c.rest.Name() }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if out, ok := v.(*outgoing); ok {
		return mem.BufferSlice{out.frame}, nil
	}
	return c.rest.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*incoming); ok {
		in.frame = data.Materialize()
		return nil
	}
	return c.rest.Unmarshal(data, v)
}

// What packet-path measured to matter on a stream between two processes: no
// estimating of windows, large buffers that are not held while idle.
const (
	windowSize  = 16 << 20
	bufferSize  = 128 << 10
	messageSize = 2 * gatherMax
)

func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.StaticStreamWindowSize(windowSize), grpc.StaticConnWindowSize(windowSize),
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.MaxRecvMsgSize(messageSize), grpc.MaxSendMsgSize(messageSize),
	}
}

func dialOptions(dial func(context.Context, string) (net.Conn, error)) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(dial),
		grpc.WithStaticStreamWindowSize(windowSize), grpc.WithStaticConnWindowSize(windowSize),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec()), grpc.MaxCallRecvMsgSize(messageSize), grpc.MaxCallSendMsgSize(messageSize)),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
	}
}
