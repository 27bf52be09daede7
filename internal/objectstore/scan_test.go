package objectstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEveryAlteredByteIsFound(t *testing.T) {
	object, _ := build(t, "k", []Batch{{Batch: inLane("a"), Payload: []byte("one")}, {Batch: inLane("b"), Payload: []byte("two")}})
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

func TestScanNamesTheDamagedPart(t *testing.T) {
	object, extents := build(t, "k", []Batch{{Batch: inLane("a"), Payload: []byte("one")}, {Batch: inLane("b"), Payload: []byte("two")}})
	flipped := func(at int64) []byte {
		altered := bytes.Clone(object)
		altered[at] ^= 1
		return altered
	}
	tests := []struct {
		name   string
		object []byte
		want   Damage
		whole  int // batches that are yielded without an error
		known  int // batches that are yielded with one
	}{
		{"nothing", nil, Torn, 0, 0},
		{"without its end", object[:len(object)-1], Torn, 0, 0},
		{"magic of the header", flipped(0), Header, 0, 0},
		{"version", flipped(8), Header, 0, 0},
		{"no object", bytes.Repeat([]byte("x"), 100), Foreign, 0, 0},
		{"first head", flipped(headerSize), Head, 1, 1},
		{"first payload", flipped(extents[0].Offset), Payload, 1, 1},
		{"second payload", flipped(extents[1].Offset), Payload, 1, 1},
		{"index", flipped(extents[1].Offset + extents[1].Length), Index, 0, 0},
		{"a byte more", append(bytes.Clone(object[:len(object)-trailerSize]), append([]byte{0}, object[len(object)-trailerSize:]...)...), Index, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var whole, known int
			var damage Damage
			for batch, err := range Scan("k", bytes.NewReader(test.object), int64(len(test.object))) {
				if err == nil {
					whole++
					continue
				}
				if batch.Extent.Key != "" {
					known++
				}
				if corrupt, ok := errors.AsType[*CorruptError](err); ok && damage == "" {
					damage = corrupt.Damage
				}
			}
			if damage != test.want || whole != test.whole || known != test.known {
				t.Errorf("damage is %q, with %d whole and %d damaged batches; want %q, %d and %d", damage, whole, known, test.want, test.whole, test.known)
			}
		})
	}
}

func TestReaderKeepsWhatItReadAhead(t *testing.T) {
	store, root := openTemp(t)
	key, err := NewKey(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	content := pattern(1000)
	if err := store.Put(t.Context(), key, [][]byte{content}); err != nil {
		t.Fatal(err)
	}
	reader := NewReader(t.Context(), store, Listed{Key: key, Size: 1000}, 100)
	read := func(offset, length int) {
		t.Helper()
		p := make([]byte, length)
		if _, err := reader.ReadAt(p, int64(offset)); err != nil || !bytes.Equal(p, content[offset:offset+length]) {
			t.Errorf("offset %d, length %d: error %v, or other bytes", offset, length, err)
		}
	}
	read(990, 10)
	read(0, 500)
	read(700, 10)
	if err := os.Remove(filepath.Join(root, filepath.FromSlash(key))); err != nil {
		t.Fatal(err)
	}
	read(710, 90)
	if _, err := reader.ReadAt(make([]byte, 91), 710); !errors.Is(err, ErrNotFound) {
		t.Errorf("beyond what was read ahead: %v, want ErrNotFound", err)
	}
}

func TestATornObjectYieldsNothing(t *testing.T) {
	object, _ := build(t, "k", []Batch{{Batch: inLane("a"), Payload: []byte("one")}, {Batch: inLane("b"), Payload: []byte("two")}})
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
	if err == nil || !strings.Contains(err.Error(), "format version 4") {
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
