package objectstore

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// resign makes the checksums of an object right again, as far as its layout
// can be followed, so that checks behind the checksums are reached.
func resign(object []byte) {
	if len(object) < headerSize+trailerSize {
		return
	}
	binary.LittleEndian.PutUint32(object[12:], Checksum(object[:12]))
	trailer := len(object) - trailerSize
	count := int64(binary.LittleEndian.Uint32(object[trailer:]))
	index := int64(trailer) - count*indexEntrySize
	if index < headerSize {
		return
	}
	for at := index; at < int64(trailer); at += indexEntrySize {
		resignHead(object[:index], binary.LittleEndian.Uint64(object[at:]), binary.LittleEndian.Uint32(object[at+8:]))
	}
	end := trailer + trailerSumOffset
	binary.LittleEndian.PutUint32(object[end:], Checksum(object[index:end]))
}

func resignHead(batches []byte, offset uint64, length uint32) {
	size := uint64(len(batches))
	if offset > size || uint64(length) > size-offset || length < min(minHeadSize, minBlockHeadSize) {
		return
	}
	head := batches[offset : offset+uint64(length)]
	body := head[:len(head)-checksumSize]
	binary.LittleEndian.PutUint32(head[len(body):], Checksum(body))
}

func FuzzScan(f *testing.F) {
	small, _ := build(f, "k", []Batch{{Batch: inLane("a"), Payload: []byte("one")}, {Batch: inLane("b"), Payload: []byte("two")}})
	empty, _ := build(f, "k", nil)
	whole, _ := build(f, "k", examples()[2:])
	blocks, _ := buildBlocks(f, "s2", lines(10), lines(1), extremes())
	others, _ := buildBlocks(f, "zstd", lines(3))
	for _, object := range [][]byte{nil, empty, small, whole, small[:len(small)-1], small[:headerSize], blocks, others} {
		f.Add(object, false)
		f.Add(object, true)
	}
	f.Fuzz(func(t *testing.T, object []byte, signed bool) {
		if signed {
			object = bytes.Clone(object)
			resign(object)
		}
		found, err := scanAll("k", object)
		if err != nil {
			return
		}
		checkFound(t, object, found)
	})
}

// checkFound checks an object that Scan accepts: its batches are within it and
// build the very same object, unless it has blocks, which may be compressed in other ways.
func checkFound(t *testing.T, object []byte, found []StoredBatch) {
	t.Helper()
	batches := make([]Batch, 0, len(found))
	blocks := false
	frames := NewFrames(&memory{object: object})
	for _, batch := range found {
		payload, err := frames.Read(t.Context(), batch.Extent)
		if err != nil {
			t.Error(err)
		}
		blocks = blocks || batch.Extent.Compressed()
		batch.Payload = payload
		batches = append(batches, batch.Batch)
	}
	if blocks {
		return
	}
	if again, _ := build(t, "k", batches); !bytes.Equal(again, object) {
		t.Errorf("object of %d bytes is not the one that its %d batches build", len(object), len(batches))
	}
}

// FuzzKey reads ranges under keys that a log may name: none leaves the folder of
// the store, none takes memory for bytes that are not there.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"objects/0/1", "../secret", "/etc/passwd", "objects/../../secret", "", ".", "a//b", "a\x00b", "objects"} {
		f.Add(key, int64(0), int64(6))
	}
	f.Add("objects/0/1", int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add("objects/0/1", int64(-1), int64(math.MinInt64))
	public := []byte("public")
	parent := f.TempDir()
	if err := os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o600); err != nil {
		f.Fatal(err)
	}
	store, err := Open(filepath.Join(parent, "store"), 0)
	if err != nil {
		f.Fatal(err)
	}
	if err := store.Put(f.Context(), "objects/0/1", [][]byte{public}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string, offset, length int64) {
		content, err := store.ReadRange(t.Context(), key, offset, length)
		if err == nil && !bytes.Contains(public, content) {
			t.Fatalf("%q gives %q", key, content)
		}
		if err == nil && int64(len(content)) != length {
			t.Fatalf("%d bytes of %d", len(content), length)
		}
	})
}
