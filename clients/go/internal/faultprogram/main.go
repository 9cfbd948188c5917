// Faultprogram obeys the commands of tests/clients/fault_script.py with this client.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

const maxErrors = 5

type command struct {
	Do             string
	Target         string
	APIKey         string   `json:"api_key"`
	CAFile         string   `json:"ca_file"`
	TimeoutS       *float64 `json:"timeout_s"`
	Model          string
	Query          string
	Queries        []string
	Documents      []string
	Seconds        float64
	Workers        int
	PauseMS        float64 `json:"pause_ms"`
	MaxConcurrency int     `json:"max_concurrency"`
	LeaveAfter     *int    `json:"leave_after"`
}

type failure struct {
	Code        string            `json:"code"`
	Reason      string            `json:"reason"`
	Message     string            `json:"message"`
	Metadata    map[string]string `json:"metadata"`
	Fields      [][2]string       `json:"fields"`
	Quota       [][2]string       `json:"quota"`
	RetryAfterS *float64          `json:"retry_after_s"`
	RequestID   string            `json:"request_id"`
}

func main() {
	input, output := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	var client *rerankd.Client
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			break
		}
		var given command
		must(json.Unmarshal(line, &given))
		var reply any
		switch given.Do {
		case "open":
			if client != nil {
				must(client.Close())
			}
			client = open(given)
			reply = struct{}{}
		case "rerank":
			reply = rerank(client, given)
		case "load":
			reply = load(client, given)
		case "batch":
			reply = batch(client, given)
		}
		must(output.Encode(reply))
	}
	if client != nil {
		must(client.Close())
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(given command) *rerankd.Client {
	options := []rerankd.Option{rerankd.WithAPIKey(given.APIKey), rerankd.WithTimeout(seconds(*given.TimeoutS))}
	if given.CAFile != "" {
		config, err := rerankd.TLSFromFiles(given.CAFile, "", "")
		must(err)
		options = append(options, rerankd.WithTLS(config))
	}
	client, err := rerankd.New(given.Target, options...)
	must(err)
	return client
}

func seconds(count float64) time.Duration { return time.Duration(count * float64(time.Second)) }

func request(given command, query string) *rerankv1.RerankRequest {
	return &rerankv1.RerankRequest{Model: given.Model, Query: query, Documents: rerankd.Texts(given.Documents...)}
}

func rerank(client *rerankd.Client, given command) any {
	ctx := context.Background()
	if given.TimeoutS != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(*given.TimeoutS))
		defer cancel()
	}
	response, err := client.Rerank(ctx, request(given, given.Query))
	if err != nil {
		return map[string]any{"error": describe(err)}
	}
	results := [][2]float64{}
	for _, result := range response.GetResults() {
		results = append(results, [2]float64{float64(result.GetIndex()), result.GetRelevanceScore()})
	}
	return map[string]any{"results": results}
}

func load(client *rerankd.Client, given command) any {
	var group sync.WaitGroup
	var mutex sync.Mutex
	answered, failed, seen := 0, 0, []failure{}
	end := time.Now().Add(seconds(given.Seconds))
	for range given.Workers {
		group.Go(func() {
			for time.Now().Before(end) {
				_, err := client.Rerank(context.Background(), request(given, given.Query))
				mutex.Lock()
				if err == nil {
					answered++
				} else if failed++; len(seen) < maxErrors {
					seen = append(seen, describe(err))
				}
				mutex.Unlock()
				time.Sleep(seconds(given.PauseMS / 1000))
			}
		})
	}
	group.Wait()
	return map[string]any{"answered": answered, "failed": failed, "errors": seen}
}

func batch(client *rerankd.Client, given command) any {
	var mutex sync.Mutex
	answered, failed, read := []string{}, map[string]failure{}, 0
	reply := map[string]any{"received": nil}
	items := func(yield func(*rerankv1.BatchItem) bool) {
		for number, query := range given.Queries {
			mutex.Lock()
			read++
			mutex.Unlock()
			if !yield(&rerankv1.BatchItem{ItemId: strconv.Itoa(number), Request: request(given, query)}) {
				return
			}
		}
	}
	options := &rerankd.BatchOptions{
		Defaults:       &rerankv1.RerankRequest{Model: given.Model},
		MaxConcurrency: given.MaxConcurrency,
	}
	run := client.BatchRerank(context.Background(), iter.Seq[*rerankv1.BatchItem](items), options)
	for result, err := range run.Results() {
		if err != nil {
			reply["error"] = describe(err)
			break
		}
		if result.Err != nil {
			failed[result.ItemID] = describe(result.Err)
		} else {
			answered = append(answered, result.ItemID)
		}
		if given.LeaveAfter != nil && len(answered)+len(failed) == *given.LeaveAfter {
			break
		}
	}
	if summary := run.Summary(); summary != nil {
		reply["received"] = summary.ItemsReceived
	}
	mutex.Lock()
	defer mutex.Unlock()
	reply["answered"], reply["failed"], reply["read"] = answered, failed, read
	return reply
}

func describe(err error) failure {
	var failed *rerankd.Error
	if !errors.As(err, &failed) {
		return failure{Code: "UNKNOWN", Message: err.Error()}
	}
	described := failure{
		Code:      rerankd.CodeName(failed.Code),
		Reason:    failed.Reason,
		Message:   strings.TrimSpace(failed.Message),
		Metadata:  failed.Metadata,
		RequestID: failed.RequestID,
	}
	for _, violation := range failed.Fields {
		described.Fields = append(described.Fields, [2]string{violation.Field, violation.Description})
	}
	for _, violation := range failed.Quota {
		described.Quota = append(described.Quota, [2]string{violation.Subject, violation.Description})
	}
	if failed.RetryAfter > 0 {
		after := failed.RetryAfter.Seconds()
		described.RetryAfterS = &after
	}
	return described
}
