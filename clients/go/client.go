package rerankd

import (
	"context"
	"iter"
	"sync/atomic"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

// A Client calls a rerank service. It connects on the first call and again whenever a connection is lost. One client
// serves any number of goroutines; make one and keep it.
//
// Calls take the deadline of their context, or else the client's (see [WithTimeout]), and metadata from
// `metadata.AppendToOutgoingContext`; `x-request-id` names a call in the server's log.
type Client struct {
	target     string
	settings   *settings
	connection *grpc.ClientConn
	stub       rerankv1.RerankServiceClient
	isClosed   atomic.Bool
}

// New returns a client. The target is host, host:port, or a gRPC target such as `dns:///host:port`,
// `ipv4:10.0.0.1:50051,10.0.0.2:50051` or `unix:/path`; empty: RERANKD_ADDRESS, else 127.0.0.1:50051.
func New(target string, options ...Option) (*Client, error) {
	resolved, err := resolveTarget(target)
	if err != nil {
		return nil, err
	}
	settings, err := newSettings(options)
	if err != nil {
		return nil, err
	}
	dialOptions, err := settings.dial(true)
	if err != nil {
		return nil, err
	}
	if !checksHealth(resolved) {
		dialOptions = append(dialOptions, grpc.WithDisableHealthCheck())
	}
	connection, err := grpc.NewClient(resolved, dialOptions...)
	if err != nil {
		return nil, err
	}
	return &Client{
		target:     resolved,
		settings:   settings,
		connection: connection,
		stub:       rerankv1.NewRerankServiceClient(connection),
	}, nil
}

// Close closes the connections; calls under way are cancelled.
func (c *Client) Close() error {
	c.isClosed.Store(true)
	return c.connection.Close()
}

// Conn returns the connection, for stubs of the server's other services; their calls get key, metadata, default
// deadline and typed errors, too.
func (c *Client) Conn() grpc.ClientConnInterface { return c.connection }

// Rerank scores every document against the query and returns the best ones, best first.
func (c *Client) Rerank(ctx context.Context, request *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error) {
	return c.stub.Rerank(ctx, request)
}

// WarmDocuments computes the vectors of documents ahead, so that later calls with them cost little more than the query.
func (c *Client) WarmDocuments(ctx context.Context, request *rerankv1.WarmDocumentsRequest) (*rerankv1.WarmDocumentsResponse, error) {
	return c.stub.WarmDocuments(ctx, request)
}

// GetModel returns one model by its name or an alias.
func (c *Client) GetModel(ctx context.Context, name string) (*rerankv1.Model, error) {
	response, err := c.stub.GetModel(ctx, &rerankv1.GetModelRequest{Model: name})
	return response.GetModel(), err
}

// ListModels iterates over the models a caller may name, by name; those of one provider, unless it is empty. The
// default deadline is for each page. The iteration ends with the first error.
func (c *Client) ListModels(ctx context.Context, provider string) iter.Seq2[*rerankv1.Model, error] {
	return func(yield func(*rerankv1.Model, error) bool) {
		request := &rerankv1.ListModelsRequest{Provider: provider}
		for {
			page, err := c.stub.ListModels(ctx, request)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, model := range page.GetModels() {
				if !yield(model, nil) {
					return
				}
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				return
			}
		}
	}
}

// Health asks the standard health service about one service, or the server as a whole if it is empty. It takes a
// connection of its own, because calls go to no server that is not serving.
func (c *Client) Health(ctx context.Context, service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	options, err := c.settings.dial(false)
	if err != nil {
		return healthpb.HealthCheckResponse_UNKNOWN, err
	}
	connection, err := grpc.NewClient(c.target, options...)
	if err != nil {
		return healthpb.HealthCheckResponse_UNKNOWN, err
	}
	defer connection.Close()
	response, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	return response.GetStatus(), err
}
