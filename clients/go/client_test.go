package rerankd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

// server answers calls by functions of the test.
type server struct {
	rerankv1.UnimplementedRerankServiceServer
	rerank func(context.Context, *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error)
	batch  func(rerankv1.RerankService_BatchRerankServer) error
}

func (s *server) Rerank(ctx context.Context, request *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error) {
	return s.rerank(ctx, request)
}

func (s *server) BatchRerank(stream rerankv1.RerankService_BatchRerankServer) error {
	return s.batch(stream)
}

func (s *server) ListModels(_ context.Context, request *rerankv1.ListModelsRequest) (*rerankv1.ListModelsResponse, error) {
	if request.GetPageToken() == "" {
		return &rerankv1.ListModelsResponse{Models: []*rerankv1.Model{{Name: "a"}, {Name: "b"}}, NextPageToken: "2"}, nil
	}
	return &rerankv1.ListModelsResponse{Models: []*rerankv1.Model{{Name: "c"}}}, nil
}

func connect(t *testing.T, served *server, options ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	running := grpc.NewServer()
	rerankv1.RegisterRerankServiceServer(running, served)
	checked := health.NewServer()
	checked.SetServingStatus("rerank.v1.RerankService", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(running, checked)
	go func() { _ = running.Serve(listener) }()
	t.Cleanup(running.Stop)
	client, err := New(listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestKeyMetadataAndDeadlineAreSent(t *testing.T) {
	var headers metadata.MD
	var left time.Duration
	served := &server{rerank: func(ctx context.Context, _ *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error) {
		headers, _ = metadata.FromIncomingContext(ctx)
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return &rerankv1.RerankResponse{}, nil
	}}
	client := connect(t, served, WithAPIKey("secret"), WithMetadata("X-Team", "search"), WithUserAgent("shop/1"))
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", "mine")
	if _, err := client.Rerank(ctx, &rerankv1.RerankRequest{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"authorization": "Bearer secret", "x-team": "search", "x-request-id": "mine"} {
		if got := headers.Get(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	if agent := headers.Get("user-agent")[0]; len(agent) < 18 || agent[:18] != "shop/1 rerankd-go/" {
		t.Errorf("the user agent is %s", agent)
	}
	if left <= 20*time.Second || left > 30*time.Second {
		t.Errorf("the deadline is in %s", left)
	}
}

func TestDetailsAreDecoded(t *testing.T) {
	refused, err := status.New(codes.ResourceExhausted, "too much").WithDetails(
		&errdetails.ErrorInfo{Reason: "RATE_LIMITED", Domain: "rerankd", Metadata: map[string]string{"limit": "all"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "top_n", Description: "is 0"}}},
		&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: "all", Description: "is used"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
	)
	if err != nil {
		t.Fatal(err)
	}
	client := connect(t, &server{rerank: func(ctx context.Context, _ *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error) {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-request-id", "req-7"))
		return nil, refused.Err()
	}})
	_, err = client.Rerank(context.Background(), &rerankv1.RerankRequest{})
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is not an *Error", err)
	}
	got := fmt.Sprintf("%v %v %v %v %v %v %v", failure.Code, failure.Reason, failure.Metadata, failure.Fields, failure.Quota, failure.RetryAfter, failure.RequestID)
	if want := "ResourceExhausted RATE_LIMITED map[limit:all] [{top_n is 0}] [{all is used}] 1.5s req-7"; got != want {
		t.Errorf("the error is %s, want %s", got, want)
	}
	if err.Error() != "too much (RATE_LIMITED)" || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the error reads %v with code %v", err, status.Code(err))
	}
}

func TestAContextThatEndsIsTheError(t *testing.T) {
	client := connect(t, &server{rerank: func(ctx context.Context, _ *rerankv1.RerankRequest) (*rerankv1.RerankResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, WithTimeout(50*time.Millisecond))
	if _, err := client.Rerank(context.Background(), &rerankv1.RerankRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the default deadline ends a call with %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := client.Rerank(ctx, &rerankv1.RerankRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call ends with %v", err)
	}
}

func TestHealth(t *testing.T) {
	client := connect(t, &server{})
	status, err := client.Health(context.Background(), "rerank.v1.RerankService")
	if err != nil || status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the service is %v (%v)", status, err)
	}
	var failure *Error
	if _, err = client.Health(context.Background(), "nobody"); !errors.As(err, &failure) || failure.Code != codes.NotFound {
		t.Errorf("the health of nobody is %v", err)
	}
}

func TestPagesOfModels(t *testing.T) {
	client := connect(t, &server{})
	var names []string
	for model, err := range client.ListModels(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, model.GetName())
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("the models are %v", names)
	}
}

func TestEveryCodeHasTheNameOfTheContract(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.OK: "OK", codes.Canceled: "CANCELLED", codes.NotFound: "NOT_FOUND", codes.DataLoss: "DATA_LOSS",
		codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.Unavailable: "UNAVAILABLE",
	} {
		if got := CodeName(code); got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}

// answering answers a batch's items until some number of them, then breaks the stream with this error; nil: never.
func answering(until int, broken error) func(rerankv1.RerankService_BatchRerankServer) error {
	return func(stream rerankv1.RerankService_BatchRerankServer) error {
		received := int32(0)
		for {
			message, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return stream.Send(&rerankv1.BatchRerankResponse{Message: &rerankv1.BatchRerankResponse_Summary{
					Summary: &rerankv1.BatchSummary{ItemsReceived: received, ItemsSucceeded: received},
				}})
			}
			if err != nil {
				return err
			}
			if message.GetItem() == nil {
				continue
			}
			if broken != nil && int(received) == until {
				return broken
			}
			answer := &rerankv1.BatchItemResult{
				ItemId:    message.GetItem().GetItemId(),
				ItemIndex: received,
				Response:  &rerankv1.RerankResponse{Usage: &rerankv1.Usage{Documents: 1}},
			}
			received++
			if err := stream.Send(&rerankv1.BatchRerankResponse{Message: &rerankv1.BatchRerankResponse_Item{Item: answer}}); err != nil {
				return err
			}
		}
	}
}

func items(count int) []*rerankv1.BatchItem {
	made := make([]*rerankv1.BatchItem, count)
	for index := range made {
		made[index] = &rerankv1.BatchItem{ItemId: fmt.Sprint(index), Request: &rerankv1.RerankRequest{Query: "q"}}
	}
	return made
}

func TestABrokenStreamIsResumed(t *testing.T) {
	streams := 0
	client := connect(t, &server{batch: func(stream rerankv1.RerankService_BatchRerankServer) error {
		if streams++; streams == 1 {
			return answering(5, status.Error(codes.Unavailable, "the connection is lost"))(stream)
		}
		return answering(0, nil)(stream)
	}})
	batch := client.BatchRerank(context.Background(), slices.Values(items(20)), &BatchOptions{MaxConcurrency: 3})
	seen := map[int]int{}
	for result, err := range batch.Results() {
		if err != nil {
			t.Fatal(err)
		}
		if result.ItemID != fmt.Sprint(result.ItemIndex) {
			t.Errorf("item %s has the index %d", result.ItemID, result.ItemIndex)
		}
		seen[result.ItemIndex]++
	}
	for index := range 20 {
		if seen[index] != 1 {
			t.Errorf("item %d was answered %d times", index, seen[index])
		}
	}
	if summary := batch.Summary(); summary.ItemsReceived != 20 || summary.Resumes != 1 {
		t.Errorf("the summary is %+v", summary)
	}
}

func TestBreaksThatEndABatch(t *testing.T) {
	lost := status.Error(codes.Unavailable, "the connection is lost")
	for name, given := range map[string]struct {
		maxResumes int
		broken     error
		results    int
	}{
		"no resumes wanted":     {-1, lost, 2},
		"one resume, no answer": {1, lost, 2},
		"refused":               {8, status.Error(codes.PermissionDenied, "no"), 2},
	} {
		streams := 0
		client := connect(t, &server{batch: func(stream rerankv1.RerankService_BatchRerankServer) error {
			streams++
			if streams == 1 {
				return answering(2, given.broken)(stream)
			}
			return answering(0, given.broken)(stream)
		}})
		results := 0
		var last error
		for _, err := range client.BatchRerank(context.Background(), slices.Values(items(9)), &BatchOptions{MaxResumes: given.maxResumes}).Results() {
			if last = err; err == nil {
				results++
			}
		}
		if status.Code(last) != status.Code(given.broken) || results != given.results {
			t.Errorf("%s: %d results, then %v", name, results, last)
		}
	}
}

func TestACancelledBatchEnds(t *testing.T) {
	client := connect(t, &server{batch: answering(0, nil)})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range client.BatchRerank(ctx, slices.Values(items(1000)), nil).Results() {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the batch ended with %v", last)
	}
}
