package rerankd

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// interceptUnary adds metadata and the default deadline, and turns failures into [*Error].
func (s *settings) interceptUnary(ctx context.Context, method string, request, response any,
	connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	ctx = s.withHeaders(ctx)
	if _, has := ctx.Deadline(); !has && s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	var trailer metadata.MD
	err := invoke(ctx, method, request, response, connection, append(options, grpc.Trailer(&trailer))...)
	return errorOf(err, trailer)
}

// interceptStream adds metadata and turns failures into [*Error]. A stream has the deadline of its context alone.
func (s *settings) interceptStream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn,
	method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(s.withHeaders(ctx), description, connection, method, options...)
	if err != nil {
		return nil, errorOf(err, nil)
	}
	return typedStream{stream}, nil
}

func (s *settings) withHeaders(ctx context.Context) context.Context {
	if len(s.headers) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, s.headers...)
}

// typedStream is a stream whose failures are [*Error].
type typedStream struct{ grpc.ClientStream }

func (stream typedStream) RecvMsg(message any) error {
	err := stream.ClientStream.RecvMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return errorOf(err, stream.Trailer())
}
