package rerankd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/status"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

// BatchOptions says how a batch is run. The zero value is usable.
type BatchOptions struct {
	// Defaults has values for what items leave unset.
	Defaults *rerankv1.RerankRequest
	// Ordered returns results in the order of the items instead of as they finish.
	Ordered bool
	// MaxConcurrency is how many items are under way at once, at least 1; 0: the server's own ceiling.
	MaxConcurrency int
	// OnProgress is called during the iteration after every 100 items; may be nil.
	OnProgress func(*rerankv1.BatchProgress)
	// MaxResumes is how often an item may be sent again because its stream broke, and how many streams may break in a
	// row without an answer (two, before the first one). 0: 8. Negative: the first break ends the batch.
	MaxResumes int
}

// A BatchResult is the outcome of one item: a response or an error.
type BatchResult struct {
	// ItemID is the item's name, as it went.
	ItemID string
	// ItemIndex is the zero-based position of the item in the source.
	ItemIndex int
	// Response is the answer; nil when the item failed.
	Response *rerankv1.RerankResponse
	// Err says why the item failed; nil when it did not.
	Err *Error
}

// A BatchSummary has the totals of a batch.
type BatchSummary struct {
	// ItemsReceived counts the items that the server has read.
	ItemsReceived int
	// ItemsSucceeded counts the items answered.
	ItemsSucceeded int
	// ItemsFailed counts the items answered with a failure.
	ItemsFailed int
	// Usage is what all items consumed.
	Usage *rerankv1.Usage
	// Latency is the time from first item to last answer.
	Latency time.Duration
	// Resumes counts how often the stream broke and another one took over its unanswered items.
	Resumes int
}

// A Batch is a stream of items and their results. Use it in one goroutine.
type Batch struct {
	client *Client
	ctx    context.Context
	items  iter.Seq[*rerankv1.BatchItem]
	run    *batchRun
}

// BatchRerank reranks a stream of items; range over [Batch.Results] of what it returns, once. Items that fail do not
// affect the others.
//
// Items are read in another goroutine, only as fast as results are taken: at most twice MaxConcurrency (64 when it is
// 0) are unanswered at one time. A stream that breaks, because a worker, a server or the connection is gone, is
// followed by another one for the items not answered yet; each item is answered once. `slices.Values` makes a sequence of a
// slice; a source that fails ends its sequence and tells its owner why. The context bounds the batch as a whole.
func (c *Client) BatchRerank(ctx context.Context, items iter.Seq[*rerankv1.BatchItem], options *BatchOptions) *Batch {
	if options == nil {
		options = &BatchOptions{}
	}
	return &Batch{client: c, ctx: ctx, items: items, run: newBatchRun(options)}
}

// Summary returns the totals; nil until the iteration has ended without an error.
func (b *Batch) Summary() *BatchSummary { return b.run.summary }

// Results iterates over the outcomes of the items. It ends with the first error of the batch itself, which is an
// [*Error] or the context's. Leaving the loop early cancels what is under way.
func (b *Batch) Results() iter.Seq2[*BatchResult, error] {
	return func(yield func(*BatchResult, error) bool) {
		ctx, cancel := context.WithCancel(b.ctx)
		defer cancel()
		defer context.AfterFunc(ctx, b.run.wake)()
		go b.read(ctx)
		for {
			err := b.stream(ctx, yield)
			if err == nil {
				return
			}
			delay := b.resumeDelay(err)
			if delay == 0 {
				if !errors.Is(err, errLeft) {
					yield(nil, err)
				}
				return
			}
			select {
			case <-ctx.Done():
				yield(nil, errorOf(status.FromContextError(ctx.Err()).Err(), nil))
				return
			case <-time.After(delay):
			}
		}
	}
}

var errLeft = errors.New("the loop over the results was left")

func (b *Batch) resumeDelay(err error) time.Duration {
	var failure *Error
	if !errors.As(err, &failure) || b.ctx.Err() != nil || b.client.isClosed.Load() {
		return 0
	}
	return b.run.resumeDelay(failure)
}

// read takes items from the source while there is room for them.
func (b *Batch) read(ctx context.Context) {
	defer b.run.endSource()
	if !b.run.waitForRoom(ctx) {
		return
	}
	for item := range b.items {
		b.run.add(item)
		if !b.run.waitForRoom(ctx) {
			return
		}
	}
}

// stream runs one stream to its end; nil: the batch is complete.
func (b *Batch) stream(parent context.Context, yield func(*BatchResult, error) bool) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	defer context.AfterFunc(ctx, b.run.wake)()
	number := b.run.beginStream()
	stream, err := b.client.stub.BatchRerank(ctx)
	if err != nil {
		return err
	}
	go b.send(ctx, stream, number)
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if result := b.run.receive(message); result != nil && !yield(result, nil) {
			return errLeft
		}
	}
}

// send sends what there is until the source has ended. The receiving side says why a stream has.
func (b *Batch) send(ctx context.Context, stream rerankv1.RerankService_BatchRerankClient, number int) {
	message := b.run.opening()
	for message != nil {
		if stream.Send(message) != nil {
			return
		}
		message = b.run.next(ctx, number)
	}
	if ctx.Err() == nil {
		_ = stream.CloseSend()
	}
}

// String returns the counts.
func (s *BatchSummary) String() string {
	return fmt.Sprintf("%d items, %d answered, %d failed", s.ItemsReceived, s.ItemsSucceeded, s.ItemsFailed)
}
