// Bench compares calls through the client with calls through the bare generated stub: time and CPU of this process.
//
//	go run ./bench -target 127.0.0.1:50051
//
// Rounds of both alternate, so that what else the machine does falls on both; the medians of the rounds' ratios are printed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

func main() {
	target := flag.String("target", "127.0.0.1:50051", "server")
	rounds := flag.Int("rounds", 11, "pairs of rounds")
	calls := flag.Int("calls", 2000, "calls of a round")
	workers := flag.Int("workers", 8, "calls at once")
	flag.Parse()

	connection, err := grpc.NewClient(*target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	stub := rerankv1.NewRerankServiceClient(connection)
	client, err := rerankd.New(*target)
	if err != nil {
		log.Fatal(err)
	}
	request := &rerankv1.RerankRequest{
		Model:     "local/bm25",
		Query:     "who wrote Dune",
		Documents: rerankd.Texts("A desert planet.", "Frank Herbert.", "Two moons.", "A novel of 1965."),
	}
	viaStub := func(ctx context.Context) error { _, err := stub.Rerank(ctx, request); return err }
	viaClient := func(ctx context.Context) error { _, err := client.Rerank(ctx, request); return err }
	measure(viaStub, *calls/4, *workers)
	measure(viaClient, *calls/4, *workers)
	var wall, cpu []float64
	var stubWall, stubCPU time.Duration
	for range *rounds {
		bareWall, bareCPU := measure(viaStub, *calls, *workers)
		ownWall, ownCPU := measure(viaClient, *calls, *workers)
		wall = append(wall, float64(bareWall)/float64(ownWall))
		cpu = append(cpu, float64(ownCPU)/float64(bareCPU))
		stubWall, stubCPU = stubWall+bareWall, stubCPU+bareCPU
	}
	total := time.Duration(*rounds * *calls)
	fmt.Printf("stub: %d calls/s, %d us of CPU a call\n", time.Second*total/stubWall, (stubCPU / total).Microseconds())
	fmt.Printf("client: %.2f of the stub's calls a second, %.2f of its CPU a call\n", median(wall), median(cpu))
}

// measure makes calls, some at once, and returns the time they took and the CPU time of this process.
func measure(call func(context.Context) error, calls, workers int) (time.Duration, time.Duration) {
	var left atomic.Int64
	left.Store(int64(calls))
	var group sync.WaitGroup
	started, startedCPU := time.Now(), cpuTime()
	for range workers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				if err := call(ctx); err != nil {
					log.Fatal(err)
				}
				cancel()
			}
		})
	}
	group.Wait()
	return time.Since(started), cpuTime() - startedCPU
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
