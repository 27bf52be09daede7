package messages

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"laneway.dev/pkg/protocol"
)

// raw returns the msgpack of a value made of []any, numbers, strings and bytes.
func raw(t testing.TB, value any) []byte {
	t.Helper()
	data, err := msgpack.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantMalformed(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, protocol.ErrMalformed) {
		t.Fatalf("error is %v, want one that wraps ErrMalformed", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error is %q, want one that says %q", err, says)
	}
}

// message is a message as a foreign encoder would make it.
func message(k kind, fields ...any) []any {
	return append([]any{version, uint64(k), "orders", 1, 0, 0, 0}, fields...)
}

func TestDecodeRefusesWhatIsNoMessage(t *testing.T) {
	outcome := func(fields ...any) []any { return message(kindOutcomes, 1, []any{fields}) }
	staged := func(offset, length any) []any {
		return message(kindStaged, 1, []any{[]any{"lane", 1, 0, 1, "", 0, 0, 0, 0, false, 0, "", "", "", "key", offset, length, 0}})
	}
	packed := func(length, codec, bytes, start, frame any) []any {
		return message(kindStaged, 1, []any{[]any{"lane", 1, 0, 1, "", 0, 0, 0, 0, false, 0, "", "", "", "key", 0, length, 0, codec, bytes, start, frame, 0}})
	}
	sequenced := func(id, epoch, first, unacked any) []any {
		return message(kindStaged, 1, []any{[]any{
			"lane", 1, 0, 1, "", id, epoch, first, unacked, false, 0, "", "", "", "key", 0, 1, 0,
		}})
	}
	inline := func(payload []byte, length any) []any {
		return message(kindStaged, 1, []any{[]any{"lane", 1, 0, 1, "", 0, 0, 0, 0, false, 0, "", "", "", payload, length, 0}})
	}
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"inline batch of nothing":       {inline([]byte{}, 0), "an inline batch of 0 bytes"},
		"inline batch cut short":        {inline([]byte("abc"), 4), "an inline batch of 4 bytes with 3 bytes"},
		"inline batch of absurd size":   {inline([]byte{}, protocol.MaxFrameBytes+1), "an inline batch of 67108865 bytes"},
		"negative producer id":          {sequenced(int64(-1), 0, 0, 0), "-1 is negative"},
		"producer epoch of 16 bits":     {sequenced(1, 1<<15, 0, 0), "32768 does not fit 16 bits"},
		"negative sequence":             {sequenced(1, 0, int64(-1), 0), "-1 is negative"},
		"sequence of 32 bits":           {sequenced(1, 0, int64(1)<<31, 0), "does not fit 32 bits"},
		"negative first unacked":        {sequenced(1, 0, 0, int64(-2)), "first unacked sequence -2"},
		"sequence of no producer":       {sequenced(0, 0, 1, 0), "a sequence without a producer id"},
		"no array":                      {"text", "array length"},
		"nil":                           {nil, ""},
		"empty array":                   {[]any{}, ""},
		"version to come":               {[]any{version + 1, kindHello, "orders", 1, 0, 0, 0, 1}, fmt.Sprintf("version %d, this process speaks %d", version+1, version)},
		"version zero":                  {[]any{0, kindHello, "orders", 1, 0, 0, 0, 1}, "version 0"},
		"kind zero":                     {message(0, 1), "unknown kind 0"},
		"kind to come":                  {message(kindBegan+1, 1), "unknown kind 29"},
		"kind far away":                 {message(math.MaxUint64, 1), "unknown kind"},
		"one field less":                {message(kindHello), "7 fields for kind 11, expected 8"},
		"one field more":                {message(kindHello, 1, 2), "9 fields for kind 11, expected 8"},
		"one field less in an item":     {outcome("lane", 1, 0, 0, false), "5 fields where 6 are expected"},
		"one field more in an item":     {outcome("lane", 1, 0, 0, false, "", 1), "7 fields where 6 are expected"},
		"text for a number":             {message(kindHello, "1"), "uint64"},
		"number for a text":             {[]any{version, kindHello, 5, 1, 0, 0, 0, 1}, "string"},
		"number for a flag":             {outcome("lane", 1, 0, 0, 1, ""), "bool"},
		"number for a list":             {message(kindOutcomes, 1, 1), "array"},
		"map for a list":                {message(kindOutcomes, 1, map[string]any{}), "array"},
		"fraction":                      {message(kindHello, 1.0), "uint64"},
		"negative epoch":                {message(kindHello, int64(-1)), "-1 is negative"},
		"very negative epoch":           {message(kindHello, int64(math.MinInt64)), "is negative"},
		"partition of 33 bits":          {[]any{version, kindHello, "orders", 1, int64(math.MaxInt32 + 1), 0, 0, 1}, "32 bits"},
		"log of 17 bits":                {[]any{version, kindHello, "orders", 1, 0, 0, 1 << 16, 1}, "65536 does not fit 16 bits"},
		"negative offset":               {outcome("lane", 1, 0, -1, false, ""), "-1 is negative"},
		"offset of 64 bits":             {outcome("lane", 1, 0, uint64(math.MaxUint64), false, ""), "does not fit a signed integer"},
		"code that is OK if cut":        {outcome("lane", 1, 1<<16, 0, false, ""), "65536 does not fit 16 bits"},
		"negative code":                 {outcome("lane", 1, int64(-1), 0, false, ""), "negative"},
		"negative extent":               {staged(-1, 1), "negative"},
		"extent beyond all objects":     {staged(int64(math.MaxInt64), 1), "extent of 1 bytes at"},
		"one field of a block less":     {message(kindStaged, 1, []any{packed(1, "s2", 9, 0, 9)[8].([]any)[0].([]any)[:22]}), "staged batch of 22 fields"},
		"block without a codec":         {packed(1, "", 9, 0, 9), "a block without a codec"},
		"codec to come":                 {packed(1, "brotli", 9, 0, 9), `the codec "brotli" is not known`},
		"codec of plain frames":         {packed(1, "none", 9, 0, 9), `the codec "none" is not known`},
		"block as large as its content": {packed(9, "s2", 9, 0, 9), "a block of 9 bytes, and 9 when it is decompressed"},
		"block of an absurd size":       {packed(1, "zstd", protocol.MaxFrameBytes+1, 0, 9), "when it is decompressed"},
		"frame of nothing":              {packed(1, "s2", 9, 0, 0), "a frame of 0 bytes at 0 in a block of 9"},
		"frame beyond its block":        {packed(1, "s2", 9, 1, 9), "a frame of 9 bytes at 1 in a block of 9"},
		"frame whose end overflows":     {packed(1, "s2", 9, uint32(math.MaxUint32), uint32(math.MaxUint32)), "in a block of 9"},
		"history of three fields":       {message(kindArchive, []any{"m", 0, 1}, 1, 2, "", false, 0, []any{0, 0, 0}, []any{0, 0}), "3 fields where 8 are expected"},
		"staging with an unknown codec": {message(kindStage, 1, "brotli", []any{}), `the codec "brotli" is not known`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Decode(raw(t, c.value))
			wantMalformed(t, err, c.says)
			if m != nil {
				t.Errorf("message is %v", m)
			}
		})
	}
}

func TestDecodeTakesForeignEncodings(t *testing.T) {
	// The encoder of the msgpack library picks other widths than ours for some numbers.
	data := raw(t, message(kindOutcomes, int64(7), []any{[]any{[]byte("lane"), int32(1), int8(0), int64(5), true, ""}}))
	want := Outcomes{
		protocol.Partition{Topic: "orders", TopicID: 1},
		7,
		[]Outcome{{Ticket: Ticket{Lane: "lane", Number: 1}, Offset: 5, Duplicate: true}},
	}
	got, ok := mustDecode(t, data).(Outcomes)
	if !ok || got.Outcomes[0] != want.Outcomes[0] || got.Epoch != want.Epoch || got.Partition != want.Partition {
		t.Errorf("decoded %v, want %v", got, want)
	}
}

// encodings holds a well-formed input for each decoder.
func encodings() map[string]struct {
	data   []byte
	decode func([]byte) error
} {
	type encoding = struct {
		data   []byte
		decode func([]byte) error
	}
	decode := func(data []byte) error { _, err := Decode(data); return err }
	all := map[string]encoding{
		"Entry":                     {EncodeEntry(sampleEntry), func(data []byte) error { _, err := DecodeEntry(data); return err }},
		"Entry with inline batches": {EncodeEntry(sampleInlineEntry), func(data []byte) error { _, err := DecodeEntry(data); return err }},
		"Entry with producers":      {EncodeEntry(sampleFullEntry), func(data []byte) error { _, err := DecodeEntry(data); return err }},
		// Its checksum is that of the damaged data, or it would hide all that comes behind it.
		"Snapshot": {unsummed(EncodeSnapshot(sampleSnapshot)), func(data []byte) error { _, err := DecodeSnapshot(summed(data)); return err }},
	}
	for _, m := range samples {
		all[fmt.Sprintf("%T", m)] = encoding{Encode(m), decode}
	}
	return all
}

func TestTrailingBytesAreRefused(t *testing.T) {
	for name, c := range encodings() {
		t.Run(name, func(t *testing.T) {
			if err := c.decode(c.data); err != nil {
				t.Fatal(err)
			}
			wantMalformed(t, c.decode(append(slices.Clone(c.data), 0)), "1 bytes after the end")
			wantMalformed(t, c.decode(append(slices.Clone(c.data), c.data...)), "after the end")
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name, c := range encodings() {
		t.Run(name, func(t *testing.T) {
			for n := range c.data {
				if err := c.decode(c.data[:n:n]); !errors.Is(err, protocol.ErrMalformed) {
					t.Fatalf("%d of %d bytes give %v", n, len(c.data), err)
				}
			}
		})
	}
}

func TestDamagedBytesDoNotPanic(t *testing.T) {
	for name, c := range encodings() {
		t.Run(name, func(t *testing.T) {
			for at := range c.data {
				damaged := slices.Clone(c.data)
				for b := range 256 {
					damaged[at] = byte(b)
					if err := c.decode(damaged); err != nil && !errors.Is(err, protocol.ErrMalformed) {
						t.Fatalf("byte %d set to %d: %v does not wrap ErrMalformed", at, b, err)
					}
				}
			}
		})
	}
}

var (
	hugeArray  = msgpack.RawMessage{0xdd, 0xff, 0xff, 0xff, 0xff}
	hugeBinary = msgpack.RawMessage{0xc6, 0xff, 0xff, 0xff, 0xff}
	hugeString = msgpack.RawMessage{0xdb, 0xff, 0xff, 0xff, 0xff}
)

// shortHistory is noHistory as it is written in entries of version 7.
var shortHistory = historyOf("", 0, 0, 0)

// noHistory is the history of a partition of which nothing was archived.
var noHistory = historyOf("", 0, 0, 0, 0, 0, 0, 0)

func historyOf(fields ...any) []any { return fields }

// entryFieldsOf is an entry with these lanes, keys, batches and fences.
func entryFieldsOf(lanes, keys, batches, fences any) []any {
	return []any{entryVersion, 1, "", 0, 1, 1, 0, 0, false, 0, lanes, keys, []any{}, batches, fences, []any{}, 0, noHistory, 0}
}

// snapshotFieldsOf is a snapshot with these lanes, message ids and producers.
func snapshotFieldsOf(lanes, ids, producers any) []any {
	return []any{snapshotVersion, 1, 0, 1, 0, 0, "", "", 0, 1, 1, 0, lanes, ids, 0, producers, noHistory, []any{}, 0}
}

func TestAbsurdCountsAllocateNothingBig(t *testing.T) {
	message := func(value any) func() error {
		data := raw(t, value)
		return func() error { _, err := Decode(data); return err }
	}
	entry := func(value any) func() error {
		data := raw(t, value)
		return func() error { _, err := DecodeEntry(data); return err }
	}
	snapshot := func(value any) func() error {
		data := summed(raw(t, value))
		return func() error { _, err := DecodeSnapshot(data); return err }
	}
	fields := func(k kind, value any) []any { return []any{version, k, "orders", 1, 0, 0, 0, 1, value} }
	// 1 MiB of zeros is an honest count of elements that are none.
	honest := msgpack.RawMessage(append([]byte{0xdd, 0, 0x10, 0, 0}, make([]byte, 1<<20)...))
	cases := map[string]func() error{
		"message":           message(hugeArray),
		"topic":             message([]any{version, kindHello, hugeString, 1, 0, 0, 0, 1}),
		"committed entry":   message([]any{version, kindCommitted, "orders", 1, 0, 0, 0, 1, hugeBinary}),
		"numbers":           message(fields(kindMissing, []any{[]any{"lane", hugeArray}})),
		"payload":           message(slices.Insert(fields(kindStage, []any{[]any{"lane", 1, 1, 1, 1, 1, "", 0, 0, 0, 0, false, 0, "", "", "", 0, false, hugeBinary}}), 8, any("s2"))),
		"entry":             entry(hugeArray),
		"entry lanes":       entry(entryFieldsOf(hugeArray, []any{}, []any{}, []any{})),
		"entry keys":        entry(entryFieldsOf([]any{}, hugeArray, []any{}, []any{})),
		"entry batches":     entry(entryFieldsOf([]any{}, []any{}, hugeArray, []any{})),
		"entry of nothing":  entry(entryFieldsOf([]any{}, []any{}, honest, []any{})),
		"entry fences":      entry(entryFieldsOf([]any{}, []any{}, []any{}, hugeArray)),
		"fences of nothing": entry(entryFieldsOf([]any{}, []any{}, []any{}, honest)),
		"snapshot":          snapshot(hugeArray),
		"snapshot lanes":    snapshot(snapshotFieldsOf(hugeArray, []any{}, []any{})),
		"lanes of nothing":  snapshot(snapshotFieldsOf(honest, []any{}, []any{})),
		"tickets":           snapshot(snapshotFieldsOf([]any{[]any{"lane", 1, 1, hugeArray}}, []any{}, []any{})),
		"message ids":       snapshot(snapshotFieldsOf([]any{}, hugeArray, []any{})),
		"producers":         snapshot(snapshotFieldsOf([]any{}, []any{}, hugeArray)),
		"runs":              snapshot(slices.Replace(snapshotFieldsOf([]any{}, []any{}, []any{}), 17, 18, any(hugeArray))),
		"runs of nothing":   snapshot(slices.Replace(snapshotFieldsOf([]any{}, []any{}, []any{}), 17, 18, any(honest))),
		"batches":           snapshot(snapshotFieldsOf([]any{}, []any{}, []any{[]any{[]any{1, 1, ""}, 1, hugeArray}})),
	}
	for _, k := range []kind{kindStage, kindRefused, kindHolding, kindStaged, kindAdvance, kindMissing, kindRelease, kindReleaseAgain, kindOutcomes, kindOutdated} {
		list := fields(k, hugeArray)
		zeros := fields(k, honest)
		switch k {
		case kindRelease:
			list, zeros = slices.Insert(list, 7, any(1), any(1)), slices.Insert(zeros, 7, any(1), any(1))
		case kindStage:
			list, zeros = slices.Insert(list, 8, any("s2")), slices.Insert(zeros, 8, any("s2"))
		case kindRefused, kindHolding:
			list, zeros = slices.Insert(list, 8, any("stager")), slices.Insert(zeros, 8, any("stager"))
		}
		cases[fmt.Sprintf("list of kind %d", k)] = message(list)
		cases[fmt.Sprintf("list of nothing of kind %d", k)] = message(zeros)
	}
	for name, decode := range cases {
		t.Run(name, func(t *testing.T) {
			wantMalformed(t, decode(), "")
			if err := decode(); strings.Contains(err.Error(), " fields") && !strings.Contains(name, "nothing") {
				t.Errorf("refused before the count is read: %v", err)
			}
			if n := allocated(func() { _ = decode() }); n > 256<<10 {
				t.Errorf("allocates %d bytes", n)
			}
		})
	}
}

func TestPooledDecoderForgetsAFailure(t *testing.T) {
	good := Encode(sampleStage)
	for range 100 {
		if _, err := Decode(good[:20]); err == nil {
			t.Fatal("a truncated message was decoded")
		}
		mustDecode(t, good)
	}
}

func TestErrorNamesThePlace(t *testing.T) {
	data := Encode(Hello{samplePartition, 1})
	_, err := Decode(bytes.Join([][]byte{data, {1, 2, 3}}, nil))
	wantMalformed(t, err, fmt.Sprintf("byte %d: 3 bytes after the end", len(data)))
}
