package objectstore

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// build lays the batches out and returns the object's bytes and the extents.
func build(t rapid.TB, key string, batches []Batch) ([]byte, []messages.Extent) {
	t.Helper()
	builder := NewBuilder(key)
	extents := make([]messages.Extent, 0, len(batches))
	for _, batch := range batches {
		extent, err := builder.Add(batch)
		if err != nil {
			t.Fatal(err)
		}
		extents = append(extents, extent)
	}
	object := bytes.Join(builder.Parts(), nil)
	if int64(len(object)) != builder.Size() {
		t.Fatalf("object has %d bytes, builder says %d", len(object), builder.Size())
	}
	return object, extents
}

// scan returns all batches of an object, and the error that ended it.
func scanAll(key string, object []byte) ([]StoredBatch, error) {
	var found []StoredBatch
	for batch, err := range Scan(key, bytes.NewReader(object), int64(len(object))) {
		if err != nil {
			return found, err
		}
		found = append(found, batch)
	}
	return found, nil
}

// inLane returns a batch of a lane.
func inLane(lane string) messages.Batch { return messages.Batch{Ticket: messages.Ticket{Lane: lane}} }

// examples are batches of two topics with the extremes of each field.
func examples() []Batch {
	return []Batch{
		{
			Partition: protocol.Partition{Topic: "orders", TopicID: 7, Number: 3},
			Batch:     messages.Batch{Ticket: messages.Ticket{Lane: "lane-1", Number: 99}, Records: 2}, Epoch: 12, Payload: []byte("first payload"),
		},
		{
			Partition: protocol.Partition{Topic: strings.Repeat("t", maxNameSize), TopicID: math.MaxUint64, Number: math.MaxInt32},
			Batch: messages.Batch{
				Ticket:  messages.Ticket{Lane: strings.Repeat("l", maxNameSize), Number: math.MaxUint64},
				Records: math.MaxUint32, MessageID: strings.Repeat("i", maxNameSize),
				Sequence: messages.Sequence{ProducerID: math.MaxInt64, ProducerEpoch: math.MaxInt16, First: math.MaxInt32},
			},
			Epoch: math.MaxUint64, Payload: pattern(100_000),
		},
		{Payload: []byte{}},
		{Partition: protocol.Partition{Number: math.MinInt32}, Batch: inLane("\x00\xff"), Payload: []byte{0}},
	}
}

func TestScanFindsWhatWasBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.Custom(func(t *rapid.T) Batch {
			return Batch{
				Partition: protocol.Partition{
					Topic: rapid.String().Draw(t, "topic"), TopicID: rapid.Uint64().Draw(t, "id"),
					Number: rapid.Int32().Draw(t, "partition"),
				},
				Epoch: rapid.Uint64().Draw(t, "epoch"),
				Batch: messages.Batch{
					Ticket:  messages.Ticket{Lane: rapid.String().Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")},
					Records: rapid.Uint32().Draw(t, "records"),
					Sequence: messages.Sequence{
						ProducerID: rapid.Int64().Draw(t, "producer"), ProducerEpoch: rapid.Int16().Draw(t, "producer epoch"),
						First: rapid.Int32().Draw(t, "first"),
					},
					MessageID: rapid.String().Draw(t, "message id"),
				},
				Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
			}
		})
		checkRoundTrip(t, rapid.SliceOfN(batch, 0, 30).Draw(t, "batches"))
	})
}

func TestExtremesOfAllFieldsAreKept(t *testing.T) { checkRoundTrip(t, examples()) }

func TestAThousandBatchesFitOneObject(t *testing.T) {
	batches := make([]Batch, 1000)
	for i := range batches {
		batches[i] = Batch{
			Partition: protocol.Partition{Topic: "orders", TopicID: 1, Number: int32(i % 7)},
			Batch:     messages.Batch{Ticket: messages.Ticket{Lane: fmt.Sprintf("lane-%d", i%50), Number: uint64(i)}, Records: 1}, Epoch: 1, Payload: pattern(i),
		}
	}
	checkRoundTrip(t, batches)
}

func checkRoundTrip(t rapid.TB, batches []Batch) {
	t.Helper()
	object, extents := build(t, "k", batches)
	found, err := scanAll("k", object)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]StoredBatch, 0, len(batches))
	for i, batch := range batches {
		want = append(want, StoredBatch{Batch: batch, Extent: extents[i]})
		want[i].Payload = nil
		payload := object[extents[i].Offset : extents[i].Offset+extents[i].Length]
		if !bytes.Equal(payload, batch.Payload) {
			t.Fatalf("extent %d holds something else than the payload", i)
		}
		if err := Verify(extents[i], payload); err != nil {
			t.Fatal(err)
		}
	}
	if len(want) == 0 {
		want = nil
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Fatalf("found (+) differs from built (-):\n%s", diff)
	}
}

func TestScanHeadsFindsTheSameWithoutPayloads(t *testing.T) {
	object, extents := build(t, "k", examples())
	for i := range extents { // nothing of a payload is looked at
		clear(object[extents[i].Offset : extents[i].Offset+extents[i].Length])
	}
	at := 0
	for batch, err := range ScanHeads("k", bytes.NewReader(object), int64(len(object))) {
		if err != nil {
			t.Fatal(err)
		}
		want := StoredBatch{Batch: examples()[at], Extent: extents[at]}
		want.Payload = nil
		if diff := cmp.Diff(want, batch); diff != "" {
			t.Errorf("batch %d: found (+) differs from built (-):\n%s", at, diff)
		}
		at++
	}
	if at != len(extents) {
		t.Errorf("%d batches are found of %d", at, len(extents))
	}
}

func TestPayloadsAreNotCopied(t *testing.T) {
	payload := []byte("payload")
	builder := NewBuilder("k")
	if _, err := builder.Add(Batch{Payload: payload}); err != nil {
		t.Fatal(err)
	}
	for _, part := range builder.Parts() {
		if len(part) == len(payload) && &part[0] == &payload[0] {
			return
		}
	}
	t.Error("no part is the payload itself")
}

func TestPartsMayBeTakenBetweenBatches(t *testing.T) {
	builder := NewBuilder("k")
	for i, batch := range examples() {
		if _, err := builder.Add(batch); err != nil {
			t.Fatal(err)
		}
		first, second := bytes.Join(builder.Parts(), nil), bytes.Join(builder.Parts(), nil)
		if found, err := scanAll("k", first); err != nil || len(found) != i+1 || !bytes.Equal(first, second) {
			t.Errorf("after %d batches: found %d, error %v", i+1, len(found), err)
		}
	}
}

func TestABatchThatDoesNotFitTheFormatIsRefused(t *testing.T) {
	tooLong := strings.Repeat("x", maxNameSize+1)
	builder := NewBuilder("k")
	size := builder.Size()
	for _, batch := range []Batch{{Batch: inLane(tooLong)}, {Batch: messages.Batch{MessageID: tooLong}}, {Partition: protocol.Partition{Topic: tooLong}}} {
		if _, err := builder.Add(batch); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("error is %v, want it to say what is too long", err)
		}
	}
	if builder.Size() != size {
		t.Errorf("object has grown to %d bytes", builder.Size())
	}
}

func TestVerifyReportsKeyAndRangeOfAlteredBytes(t *testing.T) {
	payload := pattern(1000)
	extent := messages.Extent{Key: "objects/3/x", Offset: 64, Length: 1000, CRC: Checksum(payload)}
	if err := Verify(extent, payload); err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(payload)
	altered[500] ^= 1
	for name, wrong := range map[string][]byte{"altered": altered, "short": payload[:999], "long": append(payload, 0), "none": nil} {
		var corrupt *CorruptError
		if err := Verify(extent, wrong); !errors.As(err, &corrupt) {
			t.Errorf("%s: error is %v, want a CorruptError", name, err)
		} else if corrupt.Key != extent.Key || corrupt.Offset != 64 || corrupt.Length != 1000 ||
			!strings.Contains(err.Error(), "objects/3/x") {
			t.Errorf("%s: error is %v, want it to name key and range", name, err)
		}
	}
}
