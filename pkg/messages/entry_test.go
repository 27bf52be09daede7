package messages

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

func TestEntrySurvivesStorage(t *testing.T) {
	for name, want := range map[string]Entry{
		"batches": sampleEntry,
		"fences":  sampleFullEntry,
		"inline":  sampleInlineEntry,
		"refused": {Epoch: 3, Refused: []LaneNumbers{{Lane: "a", Numbers: []uint64{4, 7}}}},
		"term":    {TopicID: math.MaxUint64, Owner: "replicator-1", OwnerEpoch: math.MaxUint64, BaseOffset: 12},
		"barrier": {TopicID: 1},
		"rising":  {TopicID: 1, RisingFrom: math.MaxUint64},
		"history": {TopicID: 1, BaseOffset: 900, History: sampleHistory, Watermark: 4},
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
const storedEntry = "dc0013084da0000708cd03e80cc3cf17979cfe362a000092a161a16292a36f6e65a374776f929601070901a47a737464ce0400000096005a0900a273320a96990001000300000a01a469642d319c01010101000a0502a0cf000001000000000003ce7fffffff99000201cd012c01cf0000000200000000ce00100000ceffffffffa0990003000102ce00100000ce03f00000ceffffffffa0990004000102000102a0990103000103000a00a09193930504a466656564c3039292a66c616e652d6195007fcc80cf0000000100000000cfffffffffffffffff92a46e6f6e65900998a46d2f303105cffffffffffffffffecd0384cf7fffffffffffffffcf0000010000000000d38000000000000000ce04000000cfffffffffffffffff"

// storedEntry7 is sampleFullEntry as it was written before entries had a Watermark.
const storedEntry7 = "dc0012074da0000708cd03e80cc3cf17979cfe362a000092a161a16292a36f6e65a374776f929601070901a47a737464ce0400000096005a0900a273320a96990001000300000a01a469642d319c01010101000a0502a0cf000001000000000003ce7fffffff99000201cd012c01cf0000000200000000ce00100000ceffffffffa0990003000102ce00100000ce03f00000ceffffffffa0990004000102000102a0990103000103000a00a09193930504a466656564c3039292a66c616e652d6195007fcc80cf0000000100000000cfffffffffffffffff92a46e6f6e65900994a46d2f303105cffffffffffffffffecd0384"

// storedEntry6 is sampleFullEntry as it was written before entries had a History.
const storedEntry6 = "dc0011064da0000708cd03e80cc3cf17979cfe362a000092a161a16292a36f6e65a374776f929601070901a47a737464ce0400000096005a0900a273320a96990001000300000a01a469642d319c01010101000a0502a0cf000001000000000003ce7fffffff99000201cd012c01cf0000000200000000ce00100000ceffffffffa0990003000102ce00100000ce03f00000ceffffffffa0990004000102000102a0990103000103000a00a09193930504a466656564c3039292a66c616e652d6195007fcc80cf0000000100000000cfffffffffffffffff92a46e6f6e659009"

func TestEntriesOfVersionsBeforeAreRead(t *testing.T) {
	for version, written := range map[int]string{6: storedEntry6, 7: storedEntry7} {
		want := sampleFullEntry
		want.Watermark = 0
		if want.History = (History{}); version == 7 {
			want.History = History{Manifest: sampleHistory.Manifest, Start: sampleHistory.Start, End: sampleHistory.End}
		}
		got, err := DecodeEntry(stored(t, written))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d: -written +read\n%s", version, diff)
		}
	}
}

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

// documented returns the bytes of the last hexadecimal block of docs/storage.md. What follows
// several spaces in a line is a comment.
func documented(t testing.TB) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Fatal("docs/storage.md has no block of hex")
	}
	digits := regexp.MustCompile("(?m)  .*$").ReplaceAllString(string(blocks[len(blocks)-1][1]), "")
	return stored(t, strings.Join(strings.Fields(digits), ""))
}

func TestInlineEntryIsWrittenAsDocumented(t *testing.T) {
	frame := []byte{0x92, 0x01, 0x91, 0x92, 0xc0, 0xc4, 0x02, 'h', 'i'}
	want := Entry{
		TopicID: 9, Epoch: 5, SequencerEpoch: 3, BaseOffset: 8, Time: 1_700_000_000_000_000_000, Watermark: 1,
		Batches: []Placeholder{{
			Batch:  Batch{Ticket: Ticket{Lane: "a", Number: 7}, Floor: 6, Records: 1, MessageID: "id"},
			Extent: InlineExtent(frame), Inline: frame,
		}},
		History: History{
			Manifest: "m/1/B", Start: 4, End: Position{Sequence: 44, Offset: 8}, Size: 194, Bytes: 325, Oldest: 1_700_000_000_000_000_000, OldestBytes: 325,
		},
	}
	if now := EncodeEntry(want); !bytes.Equal(now, documented(t)) {
		t.Errorf("the same version now writes\n%s", hex.Dump(now))
	}
	got, err := DecodeEntry(documented(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-documented +read\n%s", diff)
	}
	if read, err := got.Batches[0].InlineFrame(); err != nil || !bytes.Equal(read, frame) {
		t.Errorf("the documented frame is %x, %v", read, err)
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

func TestBatchesOfABlockTakeNoMoreThanThoseOfAnObject(t *testing.T) {
	size := func(block InBlock) int {
		entry := Entry{Batches: make([]Placeholder, 100)}
		for i := range entry.Batches {
			x := Extent{Key: "key", Offset: 1 << 20, Length: 100, CRC: math.MaxUint32, Block: block}
			if x.Compressed() {
				x.Block.Start = uint32(i) * 100
			}
			entry.Batches[i] = Placeholder{Batch: Batch{Ticket: Ticket{Lane: "lane", Number: uint64(i)}, Records: 1}, Extent: x}
		}
		return len(EncodeEntry(entry))
	}
	plain := size(InBlock{})
	if n := size(InBlock{Codec: protocol.CompressionS2, Bytes: 10_000, Length: 100, CRC: math.MaxUint32}); n > plain {
		t.Errorf("100 batches of a block take %d bytes in an entry, plain ones %d", n, plain)
	}
}

func TestDecodeEntryRefusesWhatIsNoEntry(t *testing.T) {
	placeholder := func(lane, key any, records, offset, length any) []any {
		return []any{lane, 1, 0, records, key, offset, length, 0, ""}
	}
	inlined := func(rest ...any) []any { return append([]any{0, 1, 0, 1, 1}, rest...) }
	entry := func(base any, batches ...any) []any {
		return []any{entryVersion, 1, "", 0, 1, 1, base, 0, false, 0, []any{"lane"}, []any{"key"}, []any{}, batches, []any{}, []any{}, 0, noHistory, 0}
	}
	blocks := func(block []any, batch ...any) []any {
		return []any{entryVersion, 1, "", 0, 1, 1, 0, 0, false, 0, []any{"lane"}, []any{"key"}, []any{block}, batch, []any{}, []any{}, 0, noHistory, 0}
	}
	block := []any{0, 100, 40, 7, "zstd", 300}
	fenced := func(fence ...any) []any {
		return []any{entryVersion, 1, "", 0, 1, 1, 0, 0, false, 0, []any{}, []any{}, []any{}, []any{}, []any{fence}, []any{}, 0, noHistory, 0}
	}
	archived := func(history ...any) []any { return append(entry(50)[:17], append(history, 0, 0, 0, 0), 0) }
	good := placeholder(0, 0, 1, 0, 1)
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"version to come":               {append([]any{9}, entry(0, good)[1:]...), "log entry of version 9, this process reads 6 to 8"},
		"version of long ago":           {append([]any{5}, entry(0, good)[1:17]...), "log entry of version 5, this process reads 6 to 8"},
		"one field less":                {entry(0, good)[:17], "log entry of 17 fields"},
		"one field more":                {append(entry(0, good), 1), "log entry of 20 fields"},
		"one field less before History": {append([]any{6}, entry(0, good)[1:16]...), "log entry of 16 fields"},
		"history before there was one":  {append([]any{6}, entry(0, good)[1:18]...), "log entry of 18 fields"},
		"long history of version 7":     {append([]any{7}, entry(0, good)[1:18]...), "8 fields where 4 are expected"},
		"history of seven fields":       {archived("m", 0, 8), "7 fields where 8 are expected"},
		"history beyond the entry":      {archived("m", 0, 8, 51), "a history up to offset 51 in an entry at offset 50"},
		"start beyond the history":      {archived("m", 41, 8, 40), "a log start offset of 41 above the archived end 40"},
		"negative start":                {archived("m", -1, 8, 40), "-1 is negative"},
		"gap below offset 0":            {[]any{entryVersion, 1, "", 0, 1, 1, 3, 4, false, 0, []any{}, []any{}, []any{}, []any{}, []any{}, []any{}, 0, noHistory, 0}, "a gap of 4 offsets below offset 3"},
		"one field less in a batch":     {entry(0, good[:8]), "placeholder of 8 fields"},
		"inline batch of nothing":       {entry(0, inlined([]byte{}, 7, "")), "an inline batch of 0 bytes"},
		"inline batch with a place":     {entry(0, inlined([]byte("x"), 7, "", 0)), "placeholder of 10 fields"},
		"inline batch without bytes":    {entry(0, placeholder(0, 1, 1, 0, 1)), "decoding string/bytes length"},
		"sequence of no producer":       {entry(0, append(slices.Clone(good), 0, 0, 0)), "the sequence of no producer"},
		"negative producer id":          {entry(0, append(slices.Clone(good), int64(-1), 0, 0)), "-1 is negative"},
		"producer epoch of 16 bits":     {entry(0, append(slices.Clone(good), 1, 1<<15, 0)), "does not fit 16 bits"},
		"sequence of 32 bits":           {entry(0, append(slices.Clone(good), 1, 0, int64(1)<<31)), "does not fit 32 bits"},
		"one field less in a fence":     {fenced([]any{1, 1, "feed"}), "1 fields where 3 are expected"},
		"fence without a flag":          {fenced([]any{1, 1, "feed"}, 1, 0), "bool"},
		"fence of a negative epoch":     {fenced([]any{1, int64(-1), "feed"}, true, 0), "-1 is negative"},
		"fence of a negative id before": {fenced([]any{1, 1, "feed"}, true, int64(-2)), "-2 is negative"},
		"lane without a name":           {entry(0, placeholder(1, 0, 1, 0, 1)), "reference 1 into 1 names"},
		"key without a name":            {entry(0, placeholder(0, 7, 1, 0, 1)), "reference 7 into 2 names"},
		"negative lane":                 {entry(0, placeholder(int64(-1), 0, 1, 0, 1)), "negative"},
		"negative base offset":          {entry(-1, good), "-1 is negative"},
		"negative extent offset":        {entry(0, placeholder(0, 0, 1, -1, 1)), "-1 is negative"},
		"negative extent length":        {entry(0, placeholder(0, 0, 1, 0, -1)), "-1 is negative"},
		"more records than 32 bits":     {entry(0, placeholder(0, 0, int64(1)<<32, 0, 1)), "32 bits"},
		"offsets beyond all numbers":    {entry(int64(math.MaxInt64), good), "1 records from offset"},
		"extent beyond all objects":     {entry(0, placeholder(0, 0, 1, int64(math.MaxInt64), 1)), "extent of 1 bytes at"},
		"block without a name":          {blocks(block, placeholder(0, 3, 1, 0, 1)), "reference 3 into 3 names"},
		"block of no object":            {blocks([]any{1, 100, 40, 7, "zstd", 300}), "reference 1 into 1 names"},
		"one field less in a block":     {blocks(block[:5]), "5 fields where 6 are expected"},
		"block beyond all objects":      {blocks([]any{0, int64(math.MaxInt64), 40, 7, "zstd", 300}), "extent of 40 bytes at"},
		"block without a codec":         {blocks([]any{0, 100, 40, 7, "", 300}), "a block without a codec"},
		"codec to come":                 {blocks([]any{0, 100, 40, 7, "brotli", 300}), "is not known"},
		"block that does not pay":       {blocks([]any{0, 100, 300, 7, "zstd", 300}), "a block of 300 bytes, and 300 when it is decompressed"},
		"block of an absurd size":       {blocks([]any{0, 100, 40, 7, "zstd", 1<<26 + 1}), "when it is decompressed"},
		"frame beyond its block":        {blocks(block, placeholder(0, 1, 1, 299, 2)), "a frame of 2 bytes at 299 in a block of 300"},
		"frame of nothing":              {blocks(block, placeholder(0, 1, 1, 0, 0)), "a frame of 0 bytes"},
		"frame far beyond its block":    {blocks(block, placeholder(0, 1, 1, int64(1)<<32, 2)), "does not fit 32 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeEntry(raw(t, c.value))
			wantMalformed(t, err, c.says)
			if !cmp.Equal(got, Entry{}) {
				t.Errorf("entry is %v", got)
			}
		})
	}
	for _, good := range [][]any{
		entry(0, good), entry(0, inlined([]byte("x"), 7, "id"), inlined([]byte("y"), 7, "", 1, 0, 0)), append([]any{6}, entry(0, good)[1:17]...), append([]any{7}, append(entry(0, good)[1:17], shortHistory)...), blocks(block, placeholder(0, 1, 1, 299, 1)), archived("m", 40, 8, 50),
	} {
		if _, err := DecodeEntry(raw(t, good)); err != nil {
			t.Errorf("an entry that the cases are made from: %v", err)
		}
	}
}
