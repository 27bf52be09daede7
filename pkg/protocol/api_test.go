package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// throughJSON writes a value and reads it into another of the same type.
func throughJSON[T any](t rapid.TB, value T) (T, string) {
	t.Helper()
	var back T
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back, string(data)
}

var genAck = rapid.Custom(func(t *rapid.T) ProduceAck {
	p := Partition{Topic: genTopicName.Draw(t, "topic"), Number: rapid.Int32().Draw(t, "partition")}
	return ProduceAck{
		Stream:    p.Stream(),
		Sequence:  rapid.Uint64().Draw(t, "sequence"),
		Duplicate: rapid.Bool().Draw(t, "duplicate"),
		Topic:     p.Topic,
		Partition: p.Number,
		Offset:    rapid.Int64().Draw(t, "offset"),
		Records:   rapid.Int().Draw(t, "records"),
		Ticket:    rapid.Uint64().Draw(t, "ticket"),
		Epoch:     rapid.Uint64().Draw(t, "epoch"),
	}
})

func TestAppendProduceAckMatchesMarshal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genAck.Draw(t, "ack")
		marshalled, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{AppendProduceAck(nil, want), marshalled} {
			var got ProduceAck
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: -want +got\n%s", data, diff)
			}
		}
	})
}

func TestAppendProduceAckAppends(t *testing.T) {
	got := AppendProduceAck([]byte("before "), ProduceAck{
		Stream: "LANEWAY-orders-3", Sequence: 43, Duplicate: true, Topic: "orders", Partition: 3, Offset: 42, Records: 2, Ticket: 9, Epoch: 7,
	})
	want := `before {"stream":"LANEWAY-orders-3","seq":43,"duplicate":true,"topic":"orders","partition":3,"offset":42,"records":2,"ticket":9,"epoch":7}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// jetStreamAnswer is how the JetStream client reads the answer to a publish.
type jetStreamAnswer struct {
	Type  string              `json:"type"`
	Error *jetstream.APIError `json:"error,omitempty"`
	*jetstream.PubAck
}

func TestProduceAckIsAPubAck(t *testing.T) {
	data := AppendProduceAck(nil, ProduceAck{Stream: "LANEWAY-orders-0", Sequence: math.MaxUint64, Duplicate: true, Topic: "orders"})
	var got jetStreamAnswer
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := jetstream.PubAck{Stream: "LANEWAY-orders-0", Sequence: math.MaxUint64, Duplicate: true}
	if got.Error != nil || got.PubAck == nil || *got.PubAck != want {
		t.Errorf("read as %+v with error %v", got.PubAck, got.Error)
	}
}

func TestErrorResponseIsAJetStreamResponse(t *testing.T) {
	var got jetStreamAnswer
	if err := json.Unmarshal(EncodeErrorResponse(NewError(CodeStreamMismatch, "not it")), &got); err != nil {
		t.Fatal(err)
	}
	if got.PubAck != nil || got.Error == nil || got.Error.ErrorCode != 10060 || got.Error.Code != 400 {
		t.Errorf("read as %+v with error %+v", got.PubAck, got.Error)
	}
}

// Strict clients map error to a type of exactly three fields: what else there is
// to say must stand beside it.
func TestErrorResponseHasJetStreamKeys(t *testing.T) {
	const want = `{"error":{"code":429,"err_code":20024,"description":"the stager has no memory left for more batches, or may not put more objects in time"},` +
		`"name":"STAGER_BUSY","retryable":true,"action":"wait and send again; if it keeps happening, add stagers or bandwidth"}`
	if got := string(EncodeErrorResponse(NewError(CodeStagerBusy, ""))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, code := range Codes() {
		var answer, inner map[string]json.RawMessage
		if err := json.Unmarshal(EncodeErrorResponse(NewError(code, "detail")), &answer); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(answer["error"], &inner); err != nil {
			t.Fatal(err)
		}
		for _, keys := range []struct{ got, want []string }{
			{slices.Sorted(maps.Keys(answer)), []string{"action", "error", "name", "retryable"}},
			{slices.Sorted(maps.Keys(inner)), []string{"code", "description", "err_code"}},
		} {
			if !slices.Equal(keys.got, keys.want) {
				t.Errorf("%s: keys %v, want %v", code.Kind().Name, keys.got, keys.want)
			}
		}
	}
}

func TestOnlyErrorsHaveErrorFields(t *testing.T) {
	ours := []string{"name", "retryable", "action", "code", "err_code", "description"}
	for _, answer := range []any{
		ProduceAck{}, TopicResponse{}, TopicListResponse{}, TopicTruncateResponse{}, ProducerInitResponse{}, ProducerListResponse{}, ProducerInfoResponse{},
	} {
		kind := reflect.TypeOf(answer)
		for i := range kind.NumField() {
			key, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if key == "" || slices.Contains(ours, key) {
				t.Errorf("%v has the key %q", kind, key)
			}
		}
	}
}

func TestEncodeErrorResponse(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want *Error
	}{
		"of the catalogue": {NewError(CodeNotOwner, "p"), NewError(CodeNotOwner, "p")},
		"wrapped":          {fmt.Errorf("while producing: %w", NewError(CodeNotOwner, "p")), NewError(CodeNotOwner, "p")},
		"foreign":          {errors.New(`disk "a" is full`), NewError(CodeInternal, `disk "a" is full`)},
	} {
		t.Run(name, func(t *testing.T) {
			var got ErrorResponse
			if err := json.Unmarshal(EncodeErrorResponse(c.err), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Error); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			// A client that expects an ack reads the same error.
			var ack ProduceAck
			if err := json.Unmarshal(EncodeErrorResponse(c.err), &ack); err != nil || !errors.Is(ack.Error, c.want) {
				t.Errorf("read as an ack with %v, %v", ack.Error, err)
			}
		})
	}
}

func TestTopicConfigComplete(t *testing.T) {
	smallest := TopicConfig{
		Name: "a", Partitions: 1, MaxRecordBytes: 1, Replicas: 1, ProducerExpiryMS: MinProducerExpiry.Milliseconds(), MaxProducers: 1, Compression: CompressionNone,
	}
	largest := TopicConfig{
		Name: "a", Partitions: MaxPartitions, MaxRecordBytes: MaxRecordBytesLimit, Replicas: MaxReplicas,
		ProducerExpiryMS: MaxProducerExpiry.Milliseconds(), MaxProducers: MaxProducersLimit, Compression: CompressionZstd,
	}
	for name, c := range map[string]struct {
		in, want TopicConfig
		code     Code
		says     string
	}{
		"defaults":            {in: TopicConfig{Name: "a"}, want: TopicConfig{Name: "a", Partitions: 1, MaxRecordBytes: DefaultMaxRecordBytes, Replicas: 1, ProducerExpiryMS: 86_400_000, MaxProducers: 100_000, Compression: CompressionNone}},
		"smallest":            {in: smallest, want: smallest},
		"largest":             {in: largest, want: largest},
		"negative replicas":   {in: TopicConfig{Name: "a", Replicas: -1}, code: CodeInvalidRequest, says: "replicas is -1, allowed are 1 to 5"},
		"many replicas":       {in: TopicConfig{Name: "a", Replicas: MaxReplicas + 1}, code: CodeInvalidRequest, says: "replicas is 6"},
		"no name":             {in: TopicConfig{}, code: CodeInvalidTopicName, says: `""`},
		"bad name":            {in: TopicConfig{Name: "a.b\n"}, code: CodeInvalidTopicName, says: `"a.b\n"`},
		"very long name":      {in: TopicConfig{Name: strings.Repeat("x", 1<<20)}, code: CodeInvalidTopicName, says: "xxx"},
		"negative partitions": {in: TopicConfig{Name: "a", Partitions: -1}, code: CodeInvalidRequest, says: "partitions is -1, allowed are 1 to 4096"},
		"many partitions":     {in: TopicConfig{Name: "a", Partitions: MaxPartitions + 1}, code: CodeInvalidRequest, says: "partitions is 4097"},
		"negative size":       {in: TopicConfig{Name: "a", MaxRecordBytes: -1}, code: CodeInvalidRequest, says: "max_record_bytes is -1"},
		"short expiry":        {in: TopicConfig{Name: "a", ProducerExpiryMS: 1}, code: CodeInvalidRequest, says: "producer_expiry_ms is 1, allowed are 600000 to"},
		"negative expiry":     {in: TopicConfig{Name: "a", ProducerExpiryMS: -1}, code: CodeInvalidRequest, says: "producer_expiry_ms is -1"},
		"many producers":      {in: TopicConfig{Name: "a", MaxProducers: MaxProducersLimit + 1}, code: CodeInvalidRequest, says: "max_producers is 1000001, allowed are 1 to"},
		"negative producers":  {in: TopicConfig{Name: "a", MaxProducers: -1}, code: CodeInvalidRequest, says: "max_producers is -1"},
		"unknown codec":       {in: TopicConfig{Name: "a", Compression: "gzip"}, code: CodeInvalidRequest, says: `compression is "gzip", allowed are none, s2 and zstd`},
		"large size":          {in: TopicConfig{Name: "a", MaxRecordBytes: MaxRecordBytesLimit + 1}, code: CodeInvalidRequest, says: "max_record_bytes is 4194305, allowed are 1 to 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.in.Complete()
			if c.code == CodeOK {
				if err != nil || !cmp.Equal(got, c.want) {
					t.Errorf("%+v, %v; want %+v", got, err, c.want)
				}
				return
			}
			if !errors.Is(err, NewError(c.code, "")) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want %s with %q", err, c.code.Kind().Name, c.says)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCompleteConfigIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := TopicConfig{
			Name: genTopicName.Draw(t, "name"), Partitions: rapid.IntRange(0, MaxPartitions).Draw(t, "partitions"),
			MaxRecordBytes: rapid.IntRange(0, MaxRecordBytesLimit).Draw(t, "size"), Replicas: rapid.IntRange(0, MaxReplicas).Draw(t, "replicas"),
		}
		once, err := in.Complete()
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := once.Complete(); err != nil || !cmp.Equal(twice, once) {
			t.Fatalf("%+v became %+v, %v", once, twice, err)
		}
	})
}

func TestTopicKeepsItsIDInJSON(t *testing.T) {
	// Readers that take numbers for floats would lose digits: the id is a string.
	want := Topic{
		TopicConfig{Name: "orders", Partitions: 4, MaxRecordBytes: 100, Replicas: 3, Subjects: []string{"orders.>"}},
		math.MaxUint64, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		17, 4,
		[]uint32{0, 0, 0, 2},
	}
	got, data := throughJSON(t, want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !strings.Contains(data, `"id":"18446744073709551615"`) || !strings.Contains(data, `"name":"orders"`) {
		t.Error(data)
	}
	if p := got.Partition(3); p != (Partition{"orders", math.MaxUint64, 3, 2, 10}) {
		t.Errorf("partition is %+v", p)
	}
}

func TestPartitionsWithOtherReplicasHaveOtherLogs(t *testing.T) {
	owner := make(map[uint16]int) // the replicas of each log
	for replicas := 1; replicas <= MaxReplicas; replicas++ {
		for id := range uint64(100) {
			log := Topic{TopicConfig: TopicConfig{Replicas: replicas}, ID: id, Logs: 4}.Partition(0).Log
			if before, known := owner[log]; known && before != replicas {
				t.Fatalf("log %d has partitions with %d and with %d replicas", log, before, replicas)
			}
			owner[log] = replicas
		}
	}
	if len(owner) != 4*MaxReplicas {
		t.Errorf("the partitions are in %d logs", len(owner))
	}
}

func TestFetchRequestDistinguishesOffsetZero(t *testing.T) {
	got, _ := throughJSON(t, FetchRequest{Offset: new(int64(0))})
	if got.Offset == nil || *got.Offset != 0 {
		t.Errorf("offset 0 became %v", got.Offset)
	}
	if got, data := throughJSON(t, FetchRequest{From: FromLatest}); got.Offset != nil || got.Time != nil || data != `{"from":"latest"}` {
		t.Errorf("no offset became %v in %s", got.Offset, data)
	}
}
