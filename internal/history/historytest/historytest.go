// Package historytest writes histories for tests, as an archiver does.
package historytest

import (
	"context"
	"io"
	"testing"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Writer archives the entries of one partition. It belongs to one goroutine.
type Writer struct {
	testing.TB
	Store     objectstore.Store
	Partition protocol.Partition
	Codec     protocol.Compression // of the next segments; may be empty
	// Manifest is the newest one; New sets that of a partition of which nothing is archived.
	Manifest *manifest.Manifest
}

// New returns a Writer to a store.
func New(t testing.TB, store objectstore.Store, id protocol.Partition) *Writer {
	m := manifest.New(id)
	return &Writer{TB: t, Store: store, Partition: id, Manifest: &m}
}

// Archive writes entries into a segment and a manifest, and returns their history. frame returns
// the frame of a batch; without one, the batch counts as one that cannot be read.
func (w *Writer) Archive(entries []messages.LoggedEntry, frame func(messages.Extent) []byte) messages.History {
	w.Helper()
	s := w.Segment(entries, frame)
	next, full, err := w.Manifest.Append(w.key(objectstore.NewManifestKey), s, w.key(objectstore.NewManifestKey))
	w.must(err)
	if full != nil {
		w.put(full.Key, manifest.EncodeList(full))
	}
	w.Manifest = next
	return w.Publish()
}

// Segment writes a segment without a manifest.
func (w *Writer) Segment(entries []messages.LoggedEntry, frame func(messages.Extent) []byte) segment.Summary {
	w.Helper()
	b := segment.NewBuilder(w.key(objectstore.NewSegmentKey), w.Partition, w.Codec)
	for i := range entries {
		frames := make([][]byte, len(entries[i].Entry.Batches))
		for j := range frames {
			frames[j] = frame(entries[i].Entry.Batches[j].Extent)
		}
		w.must(b.Add(entries[i], frames))
	}
	parts, s, err := b.Finish()
	w.must(err)
	w.put(s.Key, parts...)
	return s
}

// Publish writes the manifest, which the caller may have changed, and returns its history.
func (w *Writer) Publish() messages.History {
	w.Helper()
	m := *w.Manifest
	m.Key = w.key(objectstore.NewManifestKey)
	encoded := manifest.Encode(&m)
	w.put(m.Key, encoded)
	w.Manifest = &m
	h := m.History()
	h.Size = int64(len(encoded))
	return h
}

func (w *Writer) put(key string, parts ...[]byte) {
	w.Helper()
	w.must(w.Store.Put(context.Background(), key, parts))
}

func (w *Writer) key(newKey func(uint64, time.Time, io.Reader) (string, error)) string {
	w.Helper()
	key, err := newKey(1, time.Now(), nil)
	w.must(err)
	return key
}

func (w *Writer) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
