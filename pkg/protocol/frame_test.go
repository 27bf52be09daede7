package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// readFrame reads all records of a frame.
func readFrame(frame []byte) ([]Record, error) {
	r, err := NewFrameReader(frame)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var records []Record
	for rec, ok := r.Next(); ok; rec, ok = r.Next() {
		records = append(records, rec)
	}
	return records, r.Err()
}

func wantFrame(t *testing.T, frame []byte, want ...Record) {
	t.Helper()
	got, err := readFrame(frame)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
	if n, err := CheckFrame(frame, 1<<20); n != len(want) || err != nil {
		t.Errorf("CheckFrame: %d, %v; want %d records", n, err, len(want))
	}
}

func TestFrameKeepsItsRecords(t *testing.T) {
	wantFrame(t, frameOf(sampleRecords...), sampleRecords...)
	long := strings.Repeat("x", 300)
	wantFrame(t, frameOf(Record{Headers: []Header{{long, long}}, Value: []byte(long)}), Record{Headers: []Header{{long, long}}, Value: []byte(long)})
}

func TestAnyFrameKeepsItsRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(genRecord, 1, 20).Draw(t, "records")
		frame := frameOf(want...)
		got, err := readFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-written +read\n%s", diff)
		}
		largest := 0
		for _, r := range want {
			largest = max(largest, r.Size())
		}
		if n, err := CheckFrame(frame, largest); n != len(want) || err != nil {
			t.Fatalf("CheckFrame with room for the largest record: %d, %v", n, err)
		}
		if _, err := CheckFrame(frame, largest-1); !errors.Is(err, NewError(CodeMessageTooLarge, "")) {
			t.Fatalf("CheckFrame without room for the largest record: %v", err)
		}
	})
}

func TestFrameOfOneRecord(t *testing.T) {
	for _, r := range sampleRecords {
		frame := EncodeRecord(r)
		wantFrame(t, frame, r)
		if !bytes.Equal(frame, frameOf(r)) {
			t.Errorf("EncodeRecord and FrameBuilder differ for %v", r)
		}
	}
}

func TestEncodeRecordAllocatesOnce(t *testing.T) {
	r := Record{Headers: []Header{{"name", "value"}, {"another", string(make([]byte, 100))}}, Value: make([]byte, 1000)}
	if n := testing.AllocsPerRun(100, func() { EncodeRecord(r) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// storedFrame is sampleRecords as version 1 writes them. It must remain readable forever.
const storedFrame = "9201dd0000000492c0c405706c61696e92dd00000008ac436f6e74656e742d54797065aa746578742f706c61696ea5656d707479a0a57477696365a131a57477696365a132c40200ff92dd00000002a46f6e6c79a768656164657273c40092c0c400"

func TestReadsStoredFrameOfVersion1(t *testing.T) {
	data, err := hex.DecodeString(storedFrame)
	if err != nil {
		t.Fatal(err)
	}
	wantFrame(t, data, sampleRecords...)
	if now := hex.EncodeToString(frameOf(sampleRecords...)); now != storedFrame {
		t.Errorf("the same version now writes\n%s", now)
	}
}

func TestReadsFrameOfForeignEncoder(t *testing.T) {
	frame := raw(t, []any{1, []any{
		[]any{nil, []byte("no headers")},
		[]any{[]any{}, []byte("empty headers")},
		[]any{[]string{"name", "value"}, "text"},
		[]any{nil, nil},
	}})
	wantFrame(
		t, frame,
		Record{Value: []byte("no headers")},
		Record{Value: []byte("empty headers")},
		Record{Headers: []Header{{"name", "value"}}, Value: []byte("text")},
		Record{},
	)
}

func TestForeignDecoderReadsFrame(t *testing.T) {
	var got any
	if err := msgpack.Unmarshal(frameOf(sampleRecords[:3]...), &got); err != nil {
		t.Fatal(err)
	}
	want := []any{int8(1), []any{
		[]any{nil, []byte("plain")},
		[]any{[]any{"Content-Type", "text/plain", "empty", "", "twice", "1", "twice", "2"}, []byte{0, 0xff}},
		[]any{[]any{"only", "headers"}, []byte{}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestFrameBuilder(t *testing.T) {
	var b FrameBuilder
	if b.Bytes() != nil || b.Take() != nil || b.Records() != 0 || b.Size() != 0 {
		t.Error("an unused builder has a frame")
	}
	b.Append(Record{Value: []byte("one")})
	wantFrame(t, b.Bytes(), Record{Value: []byte("one")})
	b.Append(Record{Value: []byte("two")})
	if b.Records() != 2 || b.Size() != len(b.Bytes()) {
		t.Errorf("%d records and %d bytes, the frame has %d bytes", b.Records(), b.Size(), len(b.Bytes()))
	}
	b.Reset()
	if b.Bytes() != nil || b.Records() != 0 || b.Size() != 0 {
		t.Error("a reset builder has a frame")
	}
	b.Append(Record{Value: []byte("three")})
	wantFrame(t, b.Bytes(), Record{Value: []byte("three")})
}

func TestFrameBuilderCopiesValues(t *testing.T) {
	value := []byte("before")
	var b FrameBuilder
	b.Append(Record{Value: value})
	copy(value, "after!")
	wantFrame(t, b.Bytes(), Record{Value: []byte("before")})
}

func TestFrameBuilderAppendsTheRecordsOfAnother(t *testing.T) {
	var b, two, none FrameBuilder
	two.Append(Record{Value: []byte("one")})
	two.Append(Record{Value: []byte("two")})
	b.AppendFrame(&none)
	b.AppendFrame(&two)
	b.AppendFrame(&none)
	b.AppendFrame(&two)
	b.Append(Record{Value: []byte("three")})
	wantFrame(t, two.Bytes(), Record{Value: []byte("one")}, Record{Value: []byte("two")})
	wantFrame(t, b.Bytes(), Record{Value: []byte("one")}, Record{Value: []byte("two")},
		Record{Value: []byte("one")}, Record{Value: []byte("two")}, Record{Value: []byte("three")})
}

func TestTakenFrameIsIndependent(t *testing.T) {
	var b FrameBuilder
	b.Append(Record{Value: []byte("first")})
	first := b.Take()
	if b.Records() != 0 || b.Bytes() != nil {
		t.Error("the builder is not empty after Take")
	}
	b.Append(Record{Value: []byte("other")})
	b.Append(Record{Value: []byte("other")})
	second := b.Take()
	wantFrame(t, first, Record{Value: []byte("first")})
	wantFrame(t, second, Record{Value: []byte("other")}, Record{Value: []byte("other")})
}

func TestFrameReaderCountsRecords(t *testing.T) {
	r, err := NewFrameReader(frameOf(sampleRecords...))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if r.Records() != len(sampleRecords) {
			t.Errorf("%d records", r.Records())
		}
		r.Next()
	}
}

func TestFrameReaderStaysAtEnd(t *testing.T) {
	r, err := NewFrameReader(frameOf(Record{}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Next()
	for range 3 {
		if _, ok := r.Next(); ok || r.Err() != nil {
			t.Fatalf("%v, %v after the end", ok, r.Err())
		}
	}
}

func TestClosedFrameReaderKeepsItsError(t *testing.T) {
	frame := frameOf(sampleRecords...)
	for name, c := range map[string]struct {
		frame  []byte
		broken bool
	}{
		"whole":  {frame, false},
		"broken": {append(frame[:len(frame):len(frame)], 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewFrameReader(c.frame)
			if err != nil {
				t.Fatal(err)
			}
			var last Record
			for rec, ok := r.Next(); ok; rec, ok = r.Next() {
				last = rec
			}
			r.Close()
			r.Close()
			if _, ok := r.Next(); ok {
				t.Error("a closed reader has a record")
			}
			if got := r.Err() != nil; got != c.broken {
				t.Errorf("error is %v", r.Err())
			}
			if !cmp.Equal(last, sampleRecords[len(sampleRecords)-1]) {
				t.Errorf("the last record became %v", last)
			}
		})
	}
}

func TestFrameReaderRejectsMalformedFrame(t *testing.T) {
	record := []any{nil, []byte("x")}
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"text":                   {"text", "array length"},
		"version to come":        {[]any{3, []any{record}}, "batch frame of version 3, this process reads 1 and 2"},
		"one field less":         {[]any{1}, "version 1 with 1 fields"},
		"one field more":         {[]any{1, []any{record}, 1}, "version 1 with 3 fields"},
		"record of one field":    {[]any{1, []any{record[:1]}}, "1 fields where 2 are expected"},
		"record of three fields": {[]any{1, []any{append(record[:2:2], 1)}}, "3 fields where 2 are expected"},
		"record that is a value": {[]any{1, []any{[]byte("x")}}, "array length"},
		"name without a value":   {[]any{1, []any{[]any{[]string{"name"}, []byte("x")}}}, "1 strings are not pairs"},
		"headers that are a map": {[]any{1, []any{[]any{map[string]string{"name": "value"}, []byte("x")}}}, "array length"},
		"number for a value":     {[]any{1, []any{[]any{nil, 1}}}, "length"},
		"number for a header":    {[]any{1, []any{[]any{[]any{"name", 1}, []byte("x")}}}, "length"},
	} {
		t.Run(name, func(t *testing.T) {
			frame := raw(t, c.value)
			_, err := readFrame(frame)
			wantMalformed(t, err, c.says)
			if _, err := CheckFrame(frame, 1<<20); !errors.Is(err, NewError(CodeMalformedBatch, "")) {
				t.Errorf("CheckFrame: %v", err)
			}
		})
	}
}

func TestCheckFrameRejects(t *testing.T) {
	frame := frameOf(Record{Value: make([]byte, 10)}, Record{Headers: []Header{{"name", "value"}}, Value: make([]byte, 2)})
	for name, c := range map[string]struct {
		frame []byte
		limit int
		code  Code
		says  string
	}{
		"no records":               {raw(t, []any{1, []any{}}), 10, CodeEmptyBatch, ""},
		"records that are nil":     {raw(t, []any{1, nil}), 10, CodeEmptyBatch, ""},
		"nothing":                  {nil, 10, CodeMalformedBatch, ""},
		"a record, not a frame":    {[]byte(`{"json":true}`), 10, CodeMalformedBatch, ""},
		"value above the limit":    {frameOf(Record{Value: make([]byte, 11)}), 10, CodeMessageTooLarge, "11 bytes, the topic allows 10"},
		"headers above the limit":  {frame, 10, CodeMessageTooLarge, "11 bytes, the topic allows 10"},
		"bytes behind the records": {append(frame[:len(frame):len(frame)], 0), 11, CodeMalformedBatch, "after the end"},
		"bytes behind no records":  {append(raw(t, []any{1, []any{}}), 0), 11, CodeMalformedBatch, "after the end"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := CheckFrame(c.frame, c.limit)
			if n != 0 || !errors.Is(err, NewError(c.code, "")) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d, %v; want %s with %q", n, err, c.code.Kind().Name, c.says)
			}
		})
	}
	if n, err := CheckFrame(frame, 11); n != 2 || err != nil {
		t.Errorf("records at the limit: %d, %v", n, err)
	}
}

func TestCheckFrameAllocatesNothing(t *testing.T) {
	// As records, empty headers would take sixteen times their length.
	headers := msgpack.RawMessage(append([]byte{0xdd, 0, 0x10, 0, 0}, bytes.Repeat([]byte{0xa0}, 1<<20)...))
	frame := raw(t, []any{1, []any{[]any{headers, []byte("x")}}})
	n := allocated(func() {
		if _, err := CheckFrame(frame, 10); err == nil {
			t.Error("half a million headers are accepted")
		}
	})
	if n > 16<<10 {
		t.Errorf("checking %d bytes allocates %d bytes", len(frame), n)
	}
}

func TestValueSharesMemoryOfFrame(t *testing.T) {
	frame := frameOf(sampleRecords...)
	r, err := NewFrameReader(frame)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rec, ok := r.Next()
	if !ok {
		t.Fatal(r.Err())
	}
	wantAlias(t, frame, rec.Value)
}

func TestValuesAreNotAllocated(t *testing.T) {
	const size = 4 << 20
	frame := EncodeRecord(Record{Value: make([]byte, size)})
	n := allocated(func() {
		r, err := NewFrameReader(frame)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
	})
	if n > 64<<10 {
		t.Errorf("reading a value of %d bytes allocates %d bytes", size, n)
	}
}
