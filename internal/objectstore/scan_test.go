package objectstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestEveryAlteredByteIsFound(t *testing.T) {
	object, _ := build(t, "k", []Batch{{Lane: "a", Payload: []byte("one")}, {Lane: "b", Payload: []byte("two")}})
	for at := range object {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			altered := bytes.Clone(object)
			altered[at] ^= flip
			_, err := scanAll("k", altered)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Key != "k" {
				t.Errorf("byte %d altered: error is %v, want a CorruptError with the key", at, err)
			}
		}
	}
}

func TestATornObjectYieldsNothing(t *testing.T) {
	object, _ := build(t, "k", []Batch{{Lane: "a", Payload: []byte("one")}, {Lane: "b", Payload: []byte("two")}})
	for length := range len(object) {
		found, err := scanAll("k", object[:length])
		var corrupt *CorruptError
		if len(found) != 0 || !errors.As(err, &corrupt) {
			t.Errorf("first %d bytes: %d batches, error %v", length, len(found), err)
		}
	}
	if found, err := scanAll("k", append(bytes.Clone(object), 0)); err == nil {
		t.Errorf("with a byte more: %d batches and no error", len(found))
	}
}

func TestAbsurdCountsTakeNoMemory(t *testing.T) {
	object, _ := build(t, "k", []Batch{{Payload: []byte("x")}})
	count := len(object) - trailerSize
	entry := count - indexEntrySize
	for name, alter := range map[string]func([]byte){
		"count of batches": func(b []byte) { binary.LittleEndian.PutUint32(b[count:], math.MaxUint32) },
		"length of a payload": func(b []byte) {
			binary.LittleEndian.PutUint32(b[entry+12:], math.MaxUint32)
		},
		"length of a head": func(b []byte) { binary.LittleEndian.PutUint32(b[entry+8:], math.MaxUint32) },
	} {
		altered := bytes.Clone(object)
		alter(altered)
		resign(altered)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := scanAll("k", altered)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes are taken", name, used)
		}
	}
}

func TestAnotherVersionIsNotGuessedAt(t *testing.T) {
	object, _ := build(t, "k", examples())
	binary.LittleEndian.PutUint32(object[8:], formatVersion+1)
	resign(object)
	_, err := scanAll("k", object)
	if err == nil || !strings.Contains(err.Error(), "format version 3") {
		t.Errorf("error is %v, want it to name the version", err)
	}
}

// failingReader fails at and after an offset.
type failingReader struct {
	io.ReaderAt
	from int64
	err  error
}

func (r failingReader) ReadAt(buffer []byte, offset int64) (int, error) {
	if offset+int64(len(buffer)) > r.from {
		return 0, r.err
	}
	return r.ReaderAt.ReadAt(buffer, offset)
}

func TestScanReportsErrorsOfTheReader(t *testing.T) {
	object, _ := build(t, "k", examples())
	broken := errors.New("medium broken")
	reader := failingReader{ReaderAt: bytes.NewReader(object), from: 10, err: broken}
	var last error
	for _, err := range Scan("k", reader, int64(len(object))) {
		last = err
	}
	if !errors.Is(last, broken) || !strings.Contains(last.Error(), `"k"`) {
		t.Errorf("error is %v, want the reader's with the key", last)
	}
}

func TestScanMayBeEndedEarly(t *testing.T) {
	object, _ := build(t, "k", examples())
	seen := 0
	for _, err := range Scan("k", bytes.NewReader(object), int64(len(object))) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 2 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("%d batches seen, want 2", seen)
	}
}
