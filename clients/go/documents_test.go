package rerankd

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

func TestDocuments(t *testing.T) {
	type article struct {
		Title string `json:"title"`
		Pages int    `json:"pages"`
	}
	given := []any{
		"a text",
		&rerankv1.Document{Id: "as it is"},
		map[string]any{"id": "7", "text": "t", "prior_score": 0.5, "metadata": map[string]any{"year": 1965}},
		map[string]string{"title": "Dune", "content": "not the document's text"},
		map[string]any{"id": "8", "title": "Dune", "content": "the text"},
		article{"Dune", 412},
	}
	want := []string{
		`{"text": "a text"}`,
		`{"id": "as it is"}`,
		`{"id": "7", "text": "t", "priorScore": 0.5, "metadata": {"year": 1965}}`,
		`{"fields": {"title": "Dune", "content": "not the document's text"}}`,
		`{"id": "8", "text": "the text", "fields": {"id": "8", "title": "Dune", "content": "the text"}}`,
		`{"fields": {"title": "Dune", "pages": 412}}`,
	}
	documents, err := Documents(given...)
	if err != nil {
		t.Fatal(err)
	}
	for index, text := range want {
		expected := &rerankv1.Document{}
		if err := protojson.Unmarshal([]byte(text), expected); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(documents[index], expected) {
			t.Errorf("document %d is %v, want %v", index, documents[index], expected)
		}
	}
}

func TestValuesThatAreNoDocuments(t *testing.T) {
	for _, value := range []any{7, nil, []string{"a"}, func() {}, map[string]any{"text": 7}, map[string]any{"text": 7, "title": "a"}} {
		if _, err := Documents(value); err == nil {
			t.Errorf("%v is taken", value)
		}
	}
}
