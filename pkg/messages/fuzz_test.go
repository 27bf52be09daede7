package messages

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a fuzz target may be sure of: no panic; every refusal wraps ErrMalformed
// or is of the catalogue; and what was decoded is the same after another round.

func FuzzDecode(f *testing.F) {
	for _, m := range samples {
		f.Add(Encode(m))
	}
	f.Add([]byte{})
	f.Add(raw(f, message(kindOutcomes, 1, hugeArray)))
	f.Add(raw(f, message(kindMissing, 1, []any{[]any{"lane", hugeArray}})))
	f.Add(raw(f, message(kindHello, int64(-1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || first != nil {
				t.Fatalf("%v, %v", first, err)
			}
			return
		}
		second, err := Decode(Encode(first))
		if err != nil {
			t.Fatalf("%+v does not decode again: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(EncodeEntry(sampleEntry))
	f.Add(EncodeEntry(Entry{Owner: "replicator-1", OwnerEpoch: 7, BaseOffset: 1 << 40}))
	f.Add(EncodeEntry(Entry{}))
	f.Add(EncodeEntry(sampleFullEntry))
	f.Add(stored(f, storedEntry))
	f.Add(raw(f, entryFieldsOf([]any{"unused"}, []any{}, hugeArray, []any{})))
	f.Add(raw(f, entryFieldsOf([]any{}, []any{}, []any{}, []any{[]any{[]any{1, 1, "feed"}, true}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := DecodeEntry(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if first.BaseOffset < 0 || first.NextOffset() < first.BaseOffset {
			t.Fatalf("offsets %d to %d", first.BaseOffset, first.NextOffset())
		}
		second, err := DecodeEntry(EncodeEntry(first))
		if err != nil {
			t.Fatalf("%+v does not decode again: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(unsummed(EncodeSnapshot(sampleSnapshot)))
	f.Add(unsummed(EncodeSnapshot(Snapshot{})))
	f.Add([]byte{})
	f.Add(raw(f, snapshotFieldsOf([]any{}, []any{}, []any{[]any{[]any{1, 1, ""}, 1, []any{1, 2}}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := DecodeSnapshot(data); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("%+v, %v", s, err)
		}
		first, err := DecodeSnapshot(summed(data)) // behind the checksum
		if err != nil {
			if !errors.Is(err, ErrMalformed) || !cmp.Equal(first, Snapshot{}) {
				t.Fatalf("%+v, %v", first, err)
			}
			return
		}
		second, err := DecodeSnapshot(EncodeSnapshot(first))
		if err != nil {
			t.Fatalf("%+v does not decode again: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(frameOf(sampleRecords...), 100)
	f.Add(frameOf(sampleRecords...), 1)
	f.Add(EncodeRecord(Record{}), 0)
	f.Add(raw(f, []any{1, []any{}}), 1)
	f.Add(raw(f, []any{1, []any{[]any{hugeArray, []byte{}}}}), 1)
	f.Add(raw(f, []any{1, []any{[]any{[]string{"name"}, nil}}}), 1)
	f.Fuzz(func(t *testing.T, frame []byte, limit int) {
		first, err := readFrame(frame)
		checkFrameAgrees(t, frame, limit, first, err)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(first) == 0 {
			return
		}
		second, err := readFrame(frameOf(first...))
		if err != nil {
			t.Fatalf("%+v does not read again: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}

// checkFrameAgrees compares CheckFrame, which looks at a frame in a way of its
// own, with what reading the same frame gave.
func checkFrameAgrees(t *testing.T, frame []byte, limit int, records []Record, readErr error) {
	n, err := CheckFrame(frame, limit)
	for _, r := range records {
		if r.CheckHeaders() != nil {
			if err == nil {
				t.Fatalf("CheckFrame accepts the headers %q", r.Headers)
			}
			return
		}
	}
	// A header that is refused may stand before the bytes that cannot be read.
	refused := errors.Is(err, NewError(CodeHeaderInvalid, "")) || errors.Is(err, NewError(CodeHeaderNotSupported, ""))
	if readErr != nil && refused && n == 0 {
		return
	}
	want := CodeOK
	switch {
	case readErr != nil:
		want = CodeMalformedBatch
	case len(records) == 0:
		want = CodeEmptyBatch
	}
	for _, r := range records {
		if r.Size() > limit {
			want = CodeMessageTooLarge
			break
		}
	}
	if want == CodeOK && (err != nil || n != len(records)) {
		t.Fatalf("CheckFrame: %d, %v; read were %d records", n, err, len(records))
	}
	if want != CodeOK && (n != 0 || !errors.Is(err, NewError(want, ""))) {
		t.Fatalf("CheckFrame: %d, %v; want %s", n, err, want.Kind().Name)
	}
}

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
		for _, into := range []any{new(TopicRequest), new(TopicResponse), new(TopicListResponse), new(FetchRequest), new(ErrorResponse), new(ProduceAck)} {
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
		for _, subject := range []string{p.ProduceSubject(), p.FetchSubject(), p.SequencerSubject(), p.LogSubject()} {
			if strings.ContainsAny(subject, "*> \t\r\n") || strings.Contains(subject, "..") || strings.Count(subject, ".") > 4 {
				t.Fatalf("subject %q", subject)
			}
		}
		if stream := p.Stream(); strings.ContainsAny(stream, ".*>/\\ ") || len(stream) > 128 {
			t.Fatalf("stream %q", stream)
		}
	})
}
