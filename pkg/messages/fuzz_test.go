package messages

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/protocol"
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
			if !errors.Is(err, protocol.ErrMalformed) || first != nil {
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
	f.Add(EncodeEntry(sampleInlineEntry))
	f.Add(stored(f, storedEntry))
	f.Add(stored(f, storedEntry6))
	f.Add(raw(f, entryFieldsOf([]any{"unused"}, []any{}, hugeArray, []any{})))
	f.Add(raw(f, entryFieldsOf([]any{}, []any{}, []any{}, []any{[]any{[]any{1, 1, "feed"}, true}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := DecodeEntry(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if first.BaseOffset < 0 || first.NextOffset() < first.BaseOffset {
			t.Fatalf("offsets %d to %d", first.BaseOffset, first.NextOffset())
		}
		if h := first.History; h.Start < 0 || h.Start > h.End.Offset || h.End.Offset > first.BaseOffset {
			t.Fatalf("history %+v before offset %d", h, first.BaseOffset)
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
		if s, err := DecodeSnapshot(data); err != nil && !errors.Is(err, protocol.ErrMalformed) {
			t.Fatalf("%+v, %v", s, err)
		}
		first, err := DecodeSnapshot(summed(data)) // behind the checksum
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) || !cmp.Equal(first, Snapshot{}) {
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
