package rerankd

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

const (
	defaultWindow     = 64
	defaultMaxResumes = 8
	// Most resumes before the first answer: a server that never answered is missing, or the wrong one.
	resumesUnanswered = 2
	firstDelay        = 200 * time.Millisecond
	longestDelay      = 5 * time.Second
)

// batchRun is the bookkeeping of a batch over all its streams: what is unanswered, and whether a broken stream is
// resumed. One goroutine reads the source, one sends for each stream, and one receives.
type batchRun struct {
	options    *BatchOptions
	window     int
	maxResumes int
	started    time.Time

	// Of the receiving goroutine.
	summary   *BatchSummary
	before    BatchSummary
	answered  BatchSummary
	fruitless int

	mutex        sync.Mutex
	changed      *sync.Cond
	isSourceOver bool
	stream       int
	items        int
	unanswered   map[int]*unanswered
	outbox       []int
	sent         map[int]int
	sentHere     int
}

type unanswered struct {
	item  *rerankv1.BatchItem
	sends int
}

func newBatchRun(options *BatchOptions) *batchRun {
	run := &batchRun{
		options:    options,
		window:     defaultWindow,
		maxResumes: options.MaxResumes,
		started:    time.Now(),
		unanswered: map[int]*unanswered{},
		sent:       map[int]int{},
	}
	if options.MaxConcurrency != 0 {
		// Twice what is under way, so that the server always has the next item at hand.
		run.window = max(1, 2*options.MaxConcurrency)
	}
	if run.maxResumes == 0 {
		run.maxResumes = defaultMaxResumes
	}
	run.before.Usage, run.answered.Usage = &rerankv1.Usage{}, &rerankv1.Usage{}
	run.changed = sync.NewCond(&run.mutex)
	return run
}

// opening returns the first message of a stream.
func (run *batchRun) opening() *rerankv1.BatchRerankRequest {
	opening := &rerankv1.BatchOptions{Defaults: run.options.Defaults, Ordered: run.options.Ordered}
	if run.options.MaxConcurrency != 0 {
		opening.MaxConcurrency = proto.Int32(int32(run.options.MaxConcurrency))
	}
	return &rerankv1.BatchRerankRequest{Message: &rerankv1.BatchRerankRequest_Options{Options: opening}}
}

// wake has all waiting goroutines look again.
func (run *batchRun) wake() {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	run.changed.Broadcast()
}

// waitForRoom waits until another item may be read; false: none will be.
func (run *batchRun) waitForRoom(ctx context.Context) bool {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	for len(run.unanswered) >= run.window && ctx.Err() == nil {
		run.changed.Wait()
	}
	return ctx.Err() == nil
}

// add takes the source's next item, to be sent.
func (run *batchRun) add(item *rerankv1.BatchItem) {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	run.unanswered[run.items] = &unanswered{item: item}
	run.outbox = append(run.outbox, run.items)
	run.items++
	run.changed.Broadcast()
}

func (run *batchRun) endSource() {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	run.isSourceOver = true
	run.changed.Broadcast()
}

// beginStream begins a stream, on which everything unanswered is sent, and returns its number.
func (run *batchRun) beginStream() int {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	run.stream++
	run.sent, run.sentHere = map[int]int{}, 0
	run.outbox = slices.Sorted(maps.Keys(run.unanswered))
	run.before = run.answered
	run.changed.Broadcast()
	return run.stream
}

// next waits for the next message of a stream; nil: there is none, or another stream has begun.
func (run *batchRun) next(ctx context.Context, stream int) *rerankv1.BatchRerankRequest {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	for len(run.outbox) == 0 && !run.isSourceOver && run.stream == stream && ctx.Err() == nil {
		run.changed.Wait()
	}
	if len(run.outbox) == 0 || run.stream != stream || ctx.Err() != nil {
		return nil
	}
	index := run.outbox[0]
	run.outbox = run.outbox[1:]
	run.sent[run.sentHere] = index
	run.sentHere++
	item := run.unanswered[index]
	item.sends++
	return &rerankv1.BatchRerankRequest{Message: &rerankv1.BatchRerankRequest_Item{Item: item.item}}
}

// receive takes a message from the server: it returns the outcome in it, reports progress and keeps the summary.
func (run *batchRun) receive(message *rerankv1.BatchRerankResponse) *BatchResult {
	switch message := message.GetMessage().(type) {
	case *rerankv1.BatchRerankResponse_Item:
		return run.answer(message.Item)
	case *rerankv1.BatchRerankResponse_Progress:
		if run.options.OnProgress != nil {
			run.options.OnProgress(&rerankv1.BatchProgress{
				ItemsReceived:  int32(run.before.ItemsReceived) + message.Progress.GetItemsReceived(),
				ItemsSucceeded: int32(run.before.ItemsSucceeded) + message.Progress.GetItemsSucceeded(),
				ItemsFailed:    int32(run.before.ItemsFailed) + message.Progress.GetItemsFailed(),
			})
		}
	case *rerankv1.BatchRerankResponse_Summary:
		last := message.Summary
		run.summary = run.before.plus(last.GetItemsSucceeded(), last.GetItemsFailed(), usageOf(last))
		run.summary.ItemsReceived = run.before.ItemsReceived + int(last.GetItemsReceived())
		run.summary.Latency = time.Duration(last.GetLatencyMs() * float64(time.Millisecond))
		if run.summary.Resumes = run.stream - 1; run.summary.Resumes > 0 {
			run.summary.Latency = time.Since(run.started)
		}
	}
	return nil
}

// answer returns the outcome of an item; nil for one that was answered before.
func (run *batchRun) answer(item *rerankv1.BatchItemResult) *BatchResult {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	position := int(item.GetItemIndex())
	index, has := run.sent[position]
	if !has {
		return nil
	}
	delete(run.sent, position)
	delete(run.unanswered, index)
	run.changed.Broadcast()
	result := &BatchResult{ItemID: item.GetItemId(), ItemIndex: index, Response: item.GetResponse()}
	if result.Response == nil {
		result.Err = errorOfStatus(status.FromProto(item.GetStatus()))
		run.answered = *run.answered.plus(0, 1, &rerankv1.Usage{})
	} else {
		run.answered = *run.answered.plus(1, 0, usageOf(result.Response))
	}
	return result
}

// resumeDelay returns how long to wait before the next stream; 0: the error ends the batch.
func (run *batchRun) resumeDelay(failure *Error) time.Duration {
	run.mutex.Lock()
	defer run.mutex.Unlock()
	if !isBreak(failure) || run.maxResumes < 0 {
		return 0
	}
	run.fruitless++
	if run.answered.ItemsReceived > run.before.ItemsReceived {
		run.fruitless = 0
	}
	limit := run.maxResumes
	if run.answered.ItemsReceived == 0 {
		limit = min(resumesUnanswered, limit)
	}
	if run.fruitless > limit {
		return 0
	}
	for _, item := range run.unanswered {
		if item.sends > run.maxResumes {
			return 0
		}
	}
	longest := min(firstDelay<<min(run.fruitless, 8), longestDelay)
	return longest/2 + rand.N(longest/2)
}

// isBreak says whether a stream broke, and not the server refused it.
func isBreak(failure *Error) bool {
	switch failure.Code {
	case codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown:
		return failure.RequestID == "" || failure.Reason == "DRAINING"
	default:
		return false
	}
}

// plus returns the sum with some items and what they used.
func (s BatchSummary) plus(succeeded, failed int32, usage *rerankv1.Usage) *BatchSummary {
	return &BatchSummary{
		ItemsReceived:  s.ItemsReceived + int(succeeded+failed),
		ItemsSucceeded: s.ItemsSucceeded + int(succeeded),
		ItemsFailed:    s.ItemsFailed + int(failed),
		Usage:          addUsage(s.Usage, usage),
	}
}

// usageOf returns the usage of a message; zeros if it has none.
func usageOf(message interface{ GetUsage() *rerankv1.Usage }) *rerankv1.Usage {
	if usage := message.GetUsage(); usage != nil {
		return usage
	}
	return &rerankv1.Usage{}
}

func addUsage(one, other *rerankv1.Usage) *rerankv1.Usage {
	return &rerankv1.Usage{
		Documents:        one.GetDocuments() + other.GetDocuments(),
		PromptTokens:     one.GetPromptTokens() + other.GetPromptTokens(),
		CompletionTokens: one.GetCompletionTokens() + other.GetCompletionTokens(),
		TotalTokens:      one.GetTotalTokens() + other.GetTotalTokens(),
		SearchUnits:      one.GetSearchUnits() + other.GetSearchUnits(),
		Cost:             addKnown(one.Cost, other.Cost),
		CachedDocuments:  one.GetCachedDocuments() + other.GetCachedDocuments(),
		SavedCost:        addKnown(one.SavedCost, other.SavedCost),
	}
}

// addKnown returns the sum; a cost that only one of them knows counts.
func addKnown(one, other *float64) *float64 {
	if one == nil {
		return other
	}
	if other == nil {
		return one
	}
	sum := *one + *other
	return &sum
}
