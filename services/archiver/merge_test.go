package archiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// manifest returns the newest manifest.
func (w *world) manifest(h messages.History) *manifest.Manifest {
	w.Helper()
	m, err := w.reader().parts().Manifest(w.Context(), h.Manifest, h.Size)
	w.must(err)
	return m
}

// archiveSome appends a few entries and has them archived.
func (w *world) archiveSome(h messages.History, codec protocol.Compression) messages.History {
	w.Helper()
	w.append(1, frameOf(fmt.Sprint("one of ", w.offset)), frameOf(fmt.Sprint("two of ", w.offset)))
	w.append(0)
	job := w.job(h)
	job.Codec = codec
	return w.archives(job).History
}

func TestSmallSegmentsAreMerged(t *testing.T) {
	for _, codec := range []protocol.Compression{"", protocol.CompressionZstd} {
		t.Run("codec "+string(codec), func(t *testing.T) {
			w := newWorld(t)
			s := w.start(nil)
			h := messages.History{}
			var replaced []string
			for range 40 {
				before := w.segmentKeys(h)
				h = w.archiveSome(h, codec)
				now := w.segmentKeys(h)
				for _, key := range before {
					if !slices.Contains(now, key) {
						replaced = append(replaced, key)
					}
				}
				if len(now) > 9 { // 3 of each of 3 sizes
					t.Fatalf("%d segments", len(now))
				}
			}
			w.wantArchived(h)
			m := w.manifest(h)
			if len(replaced)+len(m.Segments) != 40 {
				t.Errorf("%d segments were replaced, %d are left", len(replaced), len(m.Segments))
			}
			for _, key := range replaced {
				if w.stored(key) == !slices.Contains(m.Waiting, key) {
					t.Errorf("%s is stored, and does not wait for its deletion; or the other way round", key)
				}
			}
			if got := s.Stats(); got.Merged != uint64(len(replaced)) || got.Records != 160 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// segmentKeys returns the segments of a history.
func (w *world) segmentKeys(h messages.History) (keys []string) {
	w.Helper()
	if !h.Archived() {
		return nil
	}
	for _, s := range w.manifest(h).Segments {
		keys = append(keys, s.Key)
	}
	return keys
}

// threeSegments has three segments archived: the next job can merge them.
func (w *world) threeSegments() (h messages.History) {
	w.Helper()
	for range 3 {
		h = w.archiveSome(h, "")
	}
	if n := len(w.segmentKeys(h)); n != 3 {
		w.Fatalf("%d segments", n)
	}
	return h
}

func TestGivenUpBatchesStayDamagedInAMergedSegment(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	h := w.threeSegments()
	w.append(0, frameOf("lost"), frameOf("kept"))
	lost := w.entries[len(w.entries)-1]
	w.must(w.store.Delete(t.Context(), lost.Entry.Batches[0].Extent.Key))
	job := w.job(h)
	job.GiveUp = true
	m := w.archives(job)
	if m.Damaged != 4 || m.Records != 0 {
		t.Errorf("%d records, %d damaged", m.Records, m.Damaged)
	}
	h = m.History
	for range 4 {
		h = w.archiveSome(h, "")
	}
	w.wantArchived(h, fmt.Sprintf("%d.0", lost.Sequence), fmt.Sprintf("%d.1", lost.Sequence))
}

func TestSegmentThatCannotBeReadIsNotMerged(t *testing.T) {
	for name, fault := range map[string]struct {
		change func(s *faulty, key string)
		passes bool // so that a later job merges the segment
	}{
		"frame": {func(s *faulty, key string) {
			s.alter = func(read string, _ int64, content []byte) {
				if read == key && len(content) > 100 {
					content[60] ^= 1
				}
			}
		}, false},
		"footer": {func(s *faulty, key string) {
			s.alter = func(read string, _ int64, content []byte) {
				if read == key {
					content[len(content)-20] ^= 1
				}
			}
		}, false},
		"missing": {func(s *faulty, key string) {
			s.read = func(_ context.Context, read string) error {
				if read == key {
					return objectstore.ErrNotFound
				}
				return nil
			}
		}, false},
		"store is away": {func(s *faulty, key string) {
			s.read = func(_ context.Context, read string) error {
				if read == key {
					return errors.New("no route to host")
				}
				return nil
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start(nil)
			h := w.threeSegments()
			keys := w.segmentKeys(h)
			w.store.faults(func(s *faulty) { fault.change(s, keys[1]) })
			for range 3 { // the first segment is a little larger than the others
				h = w.archiveSome(h, "")
			}
			if got := w.segmentKeys(h); len(got) < 3 || !slices.Equal(got[:2], keys[:2]) {
				t.Fatalf("the segments are %q, they were %q", got, keys)
			}
			w.store.faults(func(s *faulty) { s.alter, s.read = nil, nil })
			for range 12 {
				h = w.archiveSome(h, "")
			}
			if merged := !slices.Contains(w.segmentKeys(h), keys[1]); merged != fault.passes {
				t.Errorf("merged is %v, want %v: %q", merged, fault.passes, w.segmentKeys(h))
			}
			if s.Stats().Failed != 0 || s.Stats().Merged == 0 {
				t.Errorf("stats %+v", s.Stats())
			}
			w.wantArchived(h)
		})
	}
}

func TestArchiverWithLittleMemoryMergesNothing(t *testing.T) {
	w := newWorld(t)
	w.start(func(c *Config) { c.JobBytes = 3000 })
	h := w.threeSegments()
	w.append(0, frameOf("a"), frameOf("b"), frameOf("c"))
	h = w.archives(w.job(h)).History
	if n := len(w.segmentKeys(h)); n != 4 {
		t.Errorf("%d segments", n)
	}
}
