package protocol

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

var sampleRecords = []Record{
	{Value: []byte("plain")},
	{Headers: []Header{{"Content-Type", "text/plain"}, {"empty", ""}, {"twice", "1"}, {"twice", "2"}}, Value: []byte{0, 0xff}},
	{Headers: []Header{{"only", "headers"}}},
	{},
}

func frameOf(records ...Record) []byte {
	var b FrameBuilder
	for _, r := range records {
		b.Append(r)
	}
	return b.Bytes()
}

var genRecord = rapid.Custom(func(t *rapid.T) Record {
	header := rapid.Custom(func(t *rapid.T) Header {
		return Header{
			Name:  rapid.StringMatching(`[mM_0-9!#$%&'*+.^|~-]{1,20}`).Draw(t, "name"),
			Value: strings.Trim(rapid.StringMatching(`[^\r\n]{0,20}`).Draw(t, "value"), " \t"),
		}
	})
	return Record{Headers: listOf(header, 5).Draw(t, "headers"), Value: genBytes(300).Draw(t, "value")}
})

func TestHugeCountsAllocateLittle(t *testing.T) {
	for name, value := range map[string]any{
		"frame":   hugeArray,
		"records": []any{plainVersion, hugeArray},
		"headers": []any{plainVersion, []any{[]any{hugeArray, []byte{}}}},
		"value":   []any{plainVersion, []any{[]any{nil, hugeBinary}}},
	} {
		data := raw(t, value)
		_, err := readFrame(data)
		wantMalformed(t, err, "")
		if n := allocated(func() { _, _ = readFrame(data) }); n > 256<<10 {
			t.Errorf("%s: allocates %d bytes", name, n)
		}
	}
}

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
	if !errors.Is(err, ErrMalformed) {
		t.Fatalf("error is %v, want one that wraps ErrMalformed", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error is %q, want one that says %q", err, says)
	}
}

// allocated returns how many bytes f allocates. Tests that use it do not run in parallel.
func allocated(f func()) uint64 {
	f() // fills the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func wantAlias(t *testing.T, buf, part []byte) {
	t.Helper()
	at := bytes.Index(buf, part)
	if at < 0 {
		t.Fatalf("%.20q is not in the buffer", part)
	}
	if &buf[at] != &part[0] {
		t.Errorf("%.20q is a copy", part)
	}
	if cap(part) != len(part) {
		t.Errorf("appending to %.20q would overwrite the %d bytes that follow", part, cap(part)-len(part))
	}
}

func listOf[T any](item *rapid.Generator[T], most int) *rapid.Generator[[]T] {
	return rapid.Custom(func(t *rapid.T) []T {
		items := rapid.SliceOfN(item, 0, most).Draw(t, "items")
		if len(items) == 0 {
			return nil
		}
		return items
	})
}

func genBytes(most int) *rapid.Generator[[]byte] { return listOf(rapid.Byte(), most) }

var genTopicName = rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)

var genCode = rapid.Custom(func(t *rapid.T) Code { return Code(rapid.Uint16().Draw(t, "code")) })

// Counts that are announced and not there.
var (
	hugeArray  = msgpack.RawMessage{0xdd, 0xff, 0xff, 0xff, 0xff}
	hugeBinary = msgpack.RawMessage{0xc6, 0xff, 0xff, 0xff, 0xff}
)
