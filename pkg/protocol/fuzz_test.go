package protocol

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzFrame(f *testing.F) {
	f.Add(frameOf(sampleRecords...), 100)
	f.Add(frameOf(sampleRecords...), 1)
	f.Add(EncodeRecord(Record{}), 0)
	for _, c := range Compressions() {
		f.Add(compressed(f, c, append([]Record{{Value: source}}, sampleRecords...)...), len(source))
		f.Add(raw(f, declaring(c, 2, len(source), source)), 1)
	}
	f.Add(raw(f, []any{1, []any{}}), 1)
	f.Add(raw(f, []any{1, []any{[]any{hugeArray, []byte{}}}}), 1)
	f.Add(raw(f, []any{1, []any{[]any{[]string{"name"}, nil}}}), 1)
	f.Add(raw(f, []any{1, []any{[]any{make([]string, 2*MaxHeaders+2), true}}}), 100)
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
		for _, c := range Compressions() {
			short, ok := CompressFrame(nil, frameOf(first...), c)
			if !ok {
				continue
			}
			third, err := readFrame(short)
			if diff := cmp.Diff(first, third); err != nil || diff != "" {
				t.Fatalf("%s: %v, -first +third\n%s", c, err, diff)
			}
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
	// Headers that are refused may stand before the bytes that cannot be read.
	refused := errors.Is(err, NewError(CodeHeaderInvalid, "")) || errors.Is(err, NewError(CodeHeaderNotSupported, "")) ||
		errors.Is(err, NewError(CodeHeadersTooLarge, ""))
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
