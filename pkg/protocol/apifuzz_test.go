package protocol

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzErrorJSON(f *testing.F) {
	for _, code := range Codes() {
		data, err := json.Marshal(NewError(code, "detail"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"code":404,"err_code":10059,"description":"stream not found"}`))
	f.Add([]byte(`{"err_code":20001,"description":"the request is not validated"}`))
	f.Add([]byte(`{"description":"\ud800: "}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first Error
		if json.Unmarshal(data, &first) != nil {
			return
		}
		if first.Error() == "" {
			t.Fatalf("%+v has no text", first)
		}
		if second, _ := throughJSON(t, &first); *second != first {
			t.Fatalf("%+v became %+v", first, *second)
		}
	})
}

// FuzzAPI reads the JSON of every public request and answer, and what is made
// of a topic's name.
func FuzzAPI(f *testing.F) {
	f.Add([]byte(`{"name":"orders","partitions":3,"max_record_bytes":100}`))
	f.Add([]byte(`{"name":"a.b"}`))
	f.Add([]byte(`{"name":"*","partitions":-1}`))
	f.Add([]byte(`{"topic":{"name":"orders","id":"7"},"partitions":[{"partition":0,"end_offset":1}]}`))
	f.Add(AppendProduceAck(nil, ProduceAck{Stream: "LANEWAY-orders-0", Sequence: 1, Topic: "orders", Duplicate: true}))
	f.Add([]byte(`{"topics":[{"name":"orders"}],"error":{"err_code":20050}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{new(TopicRequest), new(TopicUpdate), new(TopicResponse), new(TopicListResponse), new(FetchRequest), new(ErrorResponse), new(ProduceAck)} {
			_ = json.Unmarshal(data, into) // an error is fine, a panic is not
		}
		var config TopicConfig
		if json.Unmarshal(data, &config) != nil {
			return
		}
		config, err := config.Complete()
		if err != nil {
			if code := AsError(err).Code; code != CodeInvalidRequest && code != CodeInvalidTopicName {
				t.Fatal(err)
			}
			return
		}
		p := Topic{TopicConfig: config, ID: 1}.Partition(config.Partitions - 1)
		for _, subject := range []string{p.ProduceSubject(), p.FetchSubject()} {
			if strings.ContainsAny(subject, "*> \t\r\n") || strings.Contains(subject, "..") || strings.Count(subject, ".") > 4 {
				t.Fatalf("subject %q", subject)
			}
		}
		if stream := p.Stream(); strings.ContainsAny(stream, ".*>/\\ ") || len(stream) > 128 {
			t.Fatalf("stream %q", stream)
		}
	})
}
