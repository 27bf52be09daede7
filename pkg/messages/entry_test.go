package messages

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEntrySurvivesStorage(t *testing.T) {
	for name, want := range map[string]Entry{
		"batches": sampleEntry,
		"fences":  sampleFullEntry,
		"refused": {Epoch: 3, Refused: []LaneNumbers{{Lane: "a", Numbers: []uint64{4, 7}}}},
		"term":    {TopicID: math.MaxUint64, Owner: "replicator-1", OwnerEpoch: math.MaxUint64, BaseOffset: 12},
		"barrier": {TopicID: 1},
		"rising":  {TopicID: 1, RisingFrom: math.MaxUint64},
		"largest": {TopicID: 1, Epoch: math.MaxUint64, SequencerEpoch: math.MaxUint64, BaseOffset: math.MaxInt64},
		"unnamed": {Batches: []Placeholder{{}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeEntry(EncodeEntry(want))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-written +read\n%s", diff)
			}
		})
	}
}

func TestAnyEntrySurvivesStorage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genEntry.Draw(t, "entry")
		got, err := DecodeEntry(EncodeEntry(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-written +read\n%s", diff)
		}
		var records int64
		for _, b := range want.Batches {
			records += int64(b.Records)
		}
		if got.Records() != records || got.NextOffset() != want.BaseOffset+records {
			t.Fatalf("%d records up to %d, want %d from %d", got.Records(), got.NextOffset(), records, want.BaseOffset)
		}
	})
}

// stored returns the bytes of a stored form.
func stored(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// storedEntry is sampleFullEntry as it is written. A change needs another version,
// or an older process would misread it.
const storedEntry = "dc0010054da0000708cd03e80cc3cf17979cfe362a000092a161a16292a36f6e65a374776f93990001000300000a01a469642d319c01010101000a0502a0cf000001000000000003ce7fffffff99000201cd012c01cf0000000200000000ce00100000ceffffffffa09193930504a466656564c3039292a66c616e652d6195007fcc80cf0000000100000000cfffffffffffffffff92a46e6f6e659009"

func TestEntryIsWrittenAsBefore(t *testing.T) {
	got, err := DecodeEntry(stored(t, storedEntry))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleFullEntry, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
	if now := hex.EncodeToString(EncodeEntry(sampleFullEntry)); now != storedEntry {
		t.Errorf("the same version now writes\n%s", now)
	}
}

func TestBatchesOfAnEntryShareNames(t *testing.T) {
	key := string(make([]byte, 200))
	entry := Entry{Batches: make([]Placeholder, 100)}
	for i := range entry.Batches {
		entry.Batches[i] = Placeholder{Batch: Batch{Ticket: Ticket{Lane: "lane", Number: uint64(i)}, Records: 1}, Extent: Extent{Key: key, Length: 100}}
	}
	if n := len(EncodeEntry(entry)); n > 2000 {
		t.Errorf("100 batches of one object take %d bytes", n)
	}
}

func TestDecodeEntryRefusesWhatIsNoEntry(t *testing.T) {
	placeholder := func(lane, key any, records, offset, length any) []any {
		return []any{lane, 1, 0, records, key, offset, length, 0, ""}
	}
	entry := func(base any, batches ...any) []any {
		return []any{5, 1, "", 0, 1, 1, base, 0, false, 0, []any{"lane"}, []any{"key"}, batches, []any{}, []any{}, 0}
	}
	fenced := func(fence ...any) []any {
		return []any{5, 1, "", 0, 1, 1, 0, 0, false, 0, []any{}, []any{}, []any{}, []any{fence}, []any{}, 0}
	}
	good := placeholder(0, 0, 1, 0, 1)
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"version to come":               {append([]any{6}, entry(0, good)[1:]...), "log entry of version 6, this process reads 5"},
		"one field less":                {entry(0, good)[:15], "log entry of 15 fields"},
		"one field more":                {append(entry(0, good), 1), "log entry of 17 fields"},
		"gap below offset 0":            {[]any{5, 1, "", 0, 1, 1, 3, 4, false, 0, []any{}, []any{}, []any{}, []any{}, []any{}, 0}, "a gap of 4 offsets below offset 3"},
		"one field less in a batch":     {entry(0, good[:8]), "placeholder of 8 fields"},
		"sequence of no producer":       {entry(0, append(slices.Clone(good), 0, 0, 0)), "the sequence of no producer"},
		"negative producer id":          {entry(0, append(slices.Clone(good), int64(-1), 0, 0)), "-1 is negative"},
		"producer epoch of 16 bits":     {entry(0, append(slices.Clone(good), 1, 1<<15, 0)), "does not fit 16 bits"},
		"sequence of 32 bits":           {entry(0, append(slices.Clone(good), 1, 0, int64(1)<<31)), "does not fit 32 bits"},
		"one field less in a fence":     {fenced([]any{1, 1, "feed"}), "1 fields where 3 are expected"},
		"fence without a flag":          {fenced([]any{1, 1, "feed"}, 1, 0), "bool"},
		"fence of a negative epoch":     {fenced([]any{1, int64(-1), "feed"}, true, 0), "-1 is negative"},
		"fence of a negative id before": {fenced([]any{1, 1, "feed"}, true, int64(-2)), "-2 is negative"},
		"lane without a name":           {entry(0, placeholder(1, 0, 1, 0, 1)), "reference 1 into 1 names"},
		"key without a name":            {entry(0, placeholder(0, 7, 1, 0, 1)), "reference 7 into 1 names"},
		"negative lane":                 {entry(0, placeholder(int64(-1), 0, 1, 0, 1)), "negative"},
		"negative base offset":          {entry(-1, good), "-1 is negative"},
		"negative extent offset":        {entry(0, placeholder(0, 0, 1, -1, 1)), "-1 is negative"},
		"negative extent length":        {entry(0, placeholder(0, 0, 1, 0, -1)), "-1 is negative"},
		"more records than 32 bits":     {entry(0, placeholder(0, 0, int64(1)<<32, 0, 1)), "32 bits"},
		"offsets beyond all numbers":    {entry(int64(math.MaxInt64), good), "1 records from offset"},
		"extent beyond all objects":     {entry(0, placeholder(0, 0, 1, int64(math.MaxInt64), 1)), "extent of 1 bytes at"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeEntry(raw(t, c.value))
			wantMalformed(t, err, c.says)
			if !cmp.Equal(got, Entry{}) {
				t.Errorf("entry is %v", got)
			}
		})
	}
	if _, err := DecodeEntry(raw(t, entry(0, good))); err != nil {
		t.Errorf("the entry that the cases are made from: %v", err)
	}
}
