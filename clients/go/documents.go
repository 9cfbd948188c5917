package rerankd

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

// Texts returns documents of these texts.
func Texts(texts ...string) []*rerankv1.Document {
	documents := make([]*rerankv1.Document, len(texts))
	for index, text := range texts {
		documents[index] = &rerankv1.Document{Text: text}
	}
	return documents
}

// Documents returns documents of values of any kind.
//
// A string is a text, and a *rerankv1.Document stays what it is. Anything else becomes JSON by [encoding/json], which
// must be an object. An object whose keys are all those of rerankv1.Document (text, id, fields, prior_score, metadata,
// image) is one; any other is structured content, scored whole or by the request's RankFields, and a text and an id
// among its members are the document's, too.
func Documents(values ...any) ([]*rerankv1.Document, error) {
	documents := make([]*rerankv1.Document, len(values))
	for index, value := range values {
		var err error
		switch value := value.(type) {
		case string:
			documents[index] = &rerankv1.Document{Text: value}
		case *rerankv1.Document:
			documents[index] = value
		default:
			documents[index], err = documentOf(value)
		}
		if err != nil {
			return nil, fmt.Errorf("rerankd: document %d: %w", index, err)
		}
	}
	return documents, nil
}

func documentOf(value any) (*rerankv1.Document, error) {
	written, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(written, &members); err != nil || members == nil {
		return nil, fmt.Errorf("a document is a string, a *rerankv1.Document or a JSON object, not a %T", value)
	}
	own := 0
	for name := range members {
		if documentFields[name] {
			own++
		}
	}
	if own == len(members) {
		document := &rerankv1.Document{}
		return document, protojson.Unmarshal(written, document)
	}
	fields, err := structpb.NewStruct(members)
	if err != nil || own == 0 {
		return &rerankv1.Document{Fields: fields}, err
	}
	document := &rerankv1.Document{Fields: fields}
	text, has := members["text"]
	if !has {
		text = members["content"]
	}
	if document.Text, _ = text.(string); has && document.Text == "" && text != "" {
		return nil, fmt.Errorf("text must be a string, not a %T", text)
	}
	document.Id, _ = members["id"].(string)
	return document, nil
}

var documentFields = func() map[string]bool {
	names := map[string]bool{}
	fields := (&rerankv1.Document{}).ProtoReflect().Descriptor().Fields()
	for index := range fields.Len() {
		names[string(fields.Get(index).Name())] = true
	}
	return names
}()
