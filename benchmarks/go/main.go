// A compiled gateway, as a yardstick: decodes a rerank request, asks the provider in Cohere's form, sorts, answers.
//
// Run as `gateway http://provider`; prints the port. The first part of the path goes to the provider as it came, so
// that `/100/v1/rerank` asks `/100/v2/rerank`. It has no limits, cache, retries, metrics, traces or log.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
)

type request struct {
	Model     string   `json:"model"`
	Query     string   `json:"query"`
	Documents []string `json:"documents"`
	TopN      int      `json:"top_n,omitempty"`
}

type result struct {
	Index          int     `json:"index"`
	RelevanceScore float64 `json:"relevance_score"`
}

type answer struct {
	ID      string   `json:"id"`
	Results []result `json:"results"`
	Model   string   `json:"model,omitempty"`
}

type gateway struct {
	provider string
	client   *http.Client
}

func (g *gateway) ServeHTTP(writer http.ResponseWriter, received *http.Request) {
	var asked request
	if err := json.NewDecoder(received.Body).Decode(&asked); err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	ranked, err := g.ask(received, asked)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	results := ranked.Results
	sort.SliceStable(results, func(i, j int) bool { return results[i].RelevanceScore > results[j].RelevanceScore })
	body, err := json.Marshal(answer{ranked.ID, results, asked.Model})
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.Header().Set("content-type", "application/json")
	writer.Write(body)
}

func (g *gateway) ask(received *http.Request, asked request) (*answer, error) {
	asked.TopN = len(asked.Documents)
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	url := g.provider + "/" + strings.SplitN(received.URL.Path, "/", 3)[1] + "/v2/rerank"
	sent, err := http.NewRequestWithContext(received.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	sent.Header.Set("content-type", "application/json")
	sent.Header.Set("authorization", "Bearer a-key")
	response, err := g.client.Do(sent)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered %d", response.StatusCode)
	}
	ranked := &answer{}
	return ranked, json.Unmarshal(content, ranked)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	panic(http.Serve(listener, &gateway{os.Args[1], &http.Client{Transport: transport}}))
}
