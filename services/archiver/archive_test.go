package archiver

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// frameOf returns a batch frame of 2 records.
func frameOf(text string) []byte {
	var b protocol.FrameBuilder
	b.Append(protocol.Record{Value: []byte(text)})
	b.Append(protocol.Record{Value: []byte(strings.Repeat(text, 20))})
	return b.Take()
}

// archives returns the answer to a job, after a look at what it says.
func (w *world) archives(job messages.Archive) messages.Archived {
	w.Helper()
	w.send(job)
	m := answer[messages.Archived](w)
	if m.Base != job.Base.Manifest || m.History.End != job.To || m.History.Start != job.Base.Start || !m.History.Archived() {
		w.Errorf("job %+v has the result %+v", job, m)
	}
	if sum := m.Records + m.Damaged + m.Missing; sum != job.To.Offset-job.Base.End.Offset {
		w.Errorf("%d offsets of %d are accounted for", sum, job.To.Offset-job.Base.End.Offset)
	}
	if objectstore.KeyKind(m.History.Manifest) != objectstore.KindManifest {
		w.Errorf("the key of the manifest is %q", m.History.Manifest)
	}
	return m
}

// segments returns the entries of the segments of a manifest.
func (w *world) segments(key string) (entries []messages.LoggedEntry) {
	w.Helper()
	reader := w.reader()
	m, err := reader.parts().Manifest(w.Context(), key, 0)
	w.must(err)
	for _, s := range m.Segments {
		footer, _, err := reader.parts().Footer(w.Context(), s.Key, s.Size)
		w.must(err)
		for i, page := range footer.Pages {
			content, err := w.store.ReadRange(w.Context(), s.Key, page.Position, page.Length)
			w.must(err)
			some, err := footer.ParsePage(i, content)
			w.must(err)
			entries = append(entries, some...)
		}
	}
	return entries
}

// reader returns a worker for what it can read.
func (w *world) reader() *worker {
	w.Helper()
	config := Config{Store: w.store}
	config.Logger, config.Telemetry = w.logger(), w.telemetry
	r, err := newWorker(config.orDefaults(), w.js, w.store, generation.NewFollower(nil, nil, 1))
	w.must(err)
	return r
}

// wantArchived compares the segments of a manifest with the entries of the log up to the last one
// of the job, and the frames. lost says which batches have none, as entry.batch.
func (w *world) wantArchived(h messages.History, lost ...string) {
	w.Helper()
	entries := w.segments(h.Manifest)
	if len(entries) != int(h.End.Sequence) {
		w.Fatalf("%d entries in the segments, want %d", len(entries), h.End.Sequence)
	}
	frames := objectstore.NewFrames(w.store)
	for i, got := range entries {
		want := w.entries[i]
		if got.Sequence != want.Sequence || got.Entry.BaseOffset != want.Entry.BaseOffset || got.Entry.Gap != want.Entry.Gap ||
			got.Entry.Time != want.Entry.Time || got.Entry.Created != want.Entry.Created || len(got.Entry.Batches) != len(want.Entry.Batches) {
			w.Fatalf("entry %d is %+v, want %+v", i, got, want)
		}
		for j, b := range got.Entry.Batches {
			if name := fmt.Sprintf("%d.%d", got.Sequence, j); strings.Contains(strings.Join(lost, " "), name) {
				if b.Extent != (messages.Extent{}) {
					w.Errorf("batch %s is not damaged", name)
				}
				continue
			}
			if b.Records != want.Entry.Batches[j].Records || b.MessageID != want.Entry.Batches[j].MessageID {
				w.Errorf("batch %d of entry %d is %+v", j, got.Sequence, b)
			}
			frame, err := frames.Read(w.Context(), b.Extent)
			w.must(err)
			if !bytes.Equal(frame, w.frames[i][j]) || objectstore.KeyKind(b.Extent.Key) != objectstore.KindSegment {
				w.Errorf("batch %d of entry %d in %q has another frame", j, got.Sequence, b.Extent.Key)
			}
		}
	}
}

// fill appends entries of every form.
func (w *world) fill() {
	w.Helper()
	w.append(0, frameOf("one"), frameOf("two"))
	w.append(3)
	w.append(0)
	block := [][]byte{frameOf("three"), frameOf("four"), frameOf("five")}
	w.appendEntry(0, w.stageBlock(block...), block)
	w.append(2, frameOf("six"))
}

func TestSegmentsHaveTheEntriesAndFramesOfTheLog(t *testing.T) {
	for _, codec := range []protocol.Compression{"", protocol.CompressionS2, protocol.CompressionZstd} {
		t.Run("codec "+string(codec), func(t *testing.T) {
			w := newWorld(t)
			s := w.start(nil)
			w.fill()
			job := w.job(messages.History{})
			job.Codec = codec
			first := w.archives(job)
			if first.Records != 12 || first.Missing != 5 {
				t.Errorf("%d records, %d missing", first.Records, first.Missing)
			}
			w.wantArchived(first.History)

			w.fill()
			job = w.job(first.History)
			job.Codec = codec
			second := w.archives(job)
			w.wantArchived(second.History)
			w.wantArchived(first.History) // a manifest is never changed
			if got := s.Stats(); got.Archived != 2 || got.Records != 24 || got.Bytes == 0 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

func TestEntriesWithoutRecordsAreArchived(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.append(0)
	w.append(0)
	if m := w.archives(w.job(messages.History{})); m.Records+m.Damaged+m.Missing != 0 {
		t.Errorf("result %+v", m)
	} else {
		w.wantArchived(m.History)
	}
}

// A repaired log begins at a sequence and an offset above 0, and there is no manifest before it.
func TestLogThatBeginsLaterIsArchived(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.append(5, frameOf("one"))
	w.append(0, frameOf("two"))
	begin := messages.History{Start: 7, End: messages.Position{Sequence: 2, Offset: 7}}
	m := w.archives(w.job(begin))
	entries := w.segments(m.History.Manifest)
	if len(entries) != 1 || entries[0].Sequence != 3 || m.Records != 2 {
		t.Errorf("entries %+v, %d records", entries, m.Records)
	}
}

// After many jobs the oldest segments move to a list.
func TestManifestLinksToListsOfOlderSegments(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	base := w.manyLargeSegments(manifest.MaxSegments)
	w.append(0)
	h := w.archives(w.job(base)).History
	m, err := w.reader().parts().Manifest(t.Context(), h.Manifest, h.Size)
	w.must(err)
	if len(m.Lists) != 1 || len(m.Segments) > 512 {
		t.Fatalf("%d lists, %d segments", len(m.Lists), len(m.Segments))
	}
	if l := m.Lists[0]; l.First != 1 || l.Last+1 != m.Segments[0].First || objectstore.KeyKind(l.Key) != objectstore.KindManifest {
		t.Errorf("the list is %+v", l)
	}
}

// manyLargeSegments stores a manifest that lists segments with an entry each, which are too large to
// be merged. The segments themselves are not stored.
func (w *world) manyLargeSegments(n int) messages.History {
	w.Helper()
	m := manifest.New(partition)
	next := &m
	for i := range uint64(n) {
		if i > 0 { // the log has its first entry
			w.append(0)
		}
		s := segment.Summary{Key: fmt.Sprint("s/", i), First: i + 1, Last: i + 1, Size: 16 << 20}
		var err error
		next, _, err = next.Append("m/large", s, "")
		w.must(err)
	}
	key, err := objectstore.NewManifestKey(1, time.Now(), nil)
	w.must(err)
	next.Key = key
	w.must(w.store.Put(w.Context(), key, [][]byte{manifest.Encode(next)}))
	return next.History()
}

// An archiver may not have heard of a new generation, and the log refuses what is too old.
func TestObjectsHaveTheNewestGenerationThatIsKnown(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	base := messages.History{}
	for _, c := range []struct{ job, want uint64 }{{0, 3}, {40, 40}, {7, 40}} {
		w.fill()
		job := w.job(base)
		job.Generation = c.job
		m := w.archives(job)
		if got := objectstore.KeyGeneration(m.History.Manifest); got != c.want || m.Generation != c.want {
			t.Errorf("a job of generation %d: the manifest is of %d, the answer says %d; want %d", c.job, got, m.Generation, c.want)
		}
		base = m.History
	}
}
