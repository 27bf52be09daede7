package core

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// entry returns an entry with a batch for each number of records.
func entry(sequence uint64, offset, gap int64, records ...uint32) messages.LoggedEntry {
	e := messages.Entry{TopicID: 7, BaseOffset: offset, Gap: gap, Time: int64(sequence)}
	for i, n := range records {
		e.Batches = append(e.Batches, messages.Placeholder{
			Batch:  messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(i)}, Records: n},
			Extent: messages.Extent{Key: "k", Offset: offset*1000 + int64(i)*100, Length: 100, CRC: uint32(sequence)},
		})
	}
	return messages.LoggedEntry{Sequence: sequence, Entry: e}
}

// plan adds entries to the plan of a job from entry 11 and offset 100 up to entry 13 and offset
// 120, and returns the first error.
func plan(entries ...messages.LoggedEntry) (*Plan, error) {
	base := messages.History{Manifest: "m", End: messages.Position{Sequence: 10, Offset: 100}}
	return planOf(messages.Archive{Partition: protocol.Partition{Topic: "orders", TopicID: 7}, Base: base, To: messages.Position{Sequence: 13, Offset: 120}}, entries...)
}

func planOf(job messages.Archive, entries ...messages.LoggedEntry) (*Plan, error) {
	p, err := NewPlan(job, 1<<20)
	for _, e := range entries {
		if err == nil {
			err = p.Add(e)
		}
	}
	if err == nil {
		err = p.Complete()
	}
	return p, err
}

func TestEntriesHaveToFollowEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		entries []messages.LoggedEntry
		err     string
	}{
		"whole":            {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(12, 107, 2), entry(13, 107, 0, 6, 7)}, ""},
		"first one purged": {[]messages.LoggedEntry{entry(12, 107, 2), entry(13, 107, 0, 6, 7)}, "entry 11 of the log is not there, the next one is 12"},
		"hole":             {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(13, 107, 0, 6, 7)}, "entry 12 of the log is not there"},
		"last one missing": {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(12, 107, 2)}, "entry 13 of the log is not there"},
		"none":             {nil, "entry 11 of the log is not there"},
		"repeated":         {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(11, 100, 0, 5)}, "entry 12 of the log is not there, the next one is 11"},
		"other offset":     {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(12, 107, 1)}, "entry 12 of the log begins at offset 106, but the one before ends at 105"},
		"other beginning":  {[]messages.LoggedEntry{entry(11, 99, 0, 5)}, "entry 11 of the log begins at offset 99, but the one before ends at 100"},
		"other end":        {[]messages.LoggedEntry{entry(11, 100, 0, 5), entry(12, 107, 2), entry(13, 107, 0, 6)}, "entry 13 of the log ends at offset 113, but the job at 120"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plan(c.entries...)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// created returns an entry as the one that begins a log.
func created(e messages.LoggedEntry) messages.LoggedEntry {
	e.Entry.Created = true
	return e
}

func TestContinuedLogIsArchivedAfterItsHistory(t *testing.T) {
	job := messages.Archive{
		Partition: protocol.Partition{Topic: "orders", TopicID: 7, Incarnation: 1},
		Base:      messages.History{Manifest: "m", End: messages.Position{Sequence: 10, Offset: 100}},
		To:        messages.Position{Sequence: 5001, Offset: 120},
	}
	for name, c := range map[string]struct {
		entries []messages.LoggedEntry
		err     string
	}{
		"continued":           {[]messages.LoggedEntry{created(entry(5000, 100, 0)), entry(5001, 113, 13, 7)}, ""},
		"not the first entry": {[]messages.LoggedEntry{entry(5000, 100, 0), entry(5001, 113, 13, 7)}, "entry 11 of the log is not there, the next one is 5000"},
		"other beginning":     {[]messages.LoggedEntry{created(entry(5000, 101, 0))}, "entry 5000 of the log begins at offset 101, but the one before ends at 100"},
		"of the history":      {[]messages.LoggedEntry{created(entry(10, 100, 0))}, "entry 11 of the log is not there, the next one is 10"},
		"created again":       {[]messages.LoggedEntry{created(entry(5000, 100, 0)), created(entry(5002, 100, 0))}, "entry 5001 of the log is not there, the next one is 5002"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := planOf(job, c.entries...)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if c.err != "" {
				return
			}
			if err := p.Compare(segmentOf(t, p, "s/1")); err != nil {
				t.Error(err)
			}
			_, s, err := p.Build("s/1")
			if err != nil || s.Incarnation != 1 || s.First != 5000 || s.Base != 100 {
				t.Fatalf("the segment is %+v, %v", s, err)
			}
			base := manifest.Manifest{Partition: protocol.Partition{Topic: "orders", TopicID: 7}, End: job.Base.End}
			if next, _, err := base.Append("m/1", s, ""); err != nil || next.End != job.To {
				t.Errorf("the manifest is %+v, %v", next, err)
			}
		})
	}
}

func TestJobThatEndsBeforeItBeginsIsRejected(t *testing.T) {
	base := messages.History{End: messages.Position{Sequence: 10, Offset: 100}}
	for _, to := range []messages.Position{{Sequence: 10, Offset: 100}, {Sequence: 11, Offset: 99}} {
		if _, err := NewPlan(messages.Archive{Partition: protocol.Partition{Topic: "orders", TopicID: 7}, Base: base, To: to}, 1<<20); err == nil {
			t.Errorf("no error for a job up to %+v", to)
		}
	}
}

func TestJobThatNeedsTooMuchMemoryIsRejected(t *testing.T) {
	job := messages.Archive{To: messages.Position{Sequence: 1, Offset: 1}}
	e := entry(1, 0, 0, 1)
	e.Entry.Batches[0].Extent.Length = 1 << 20
	for _, codec := range []protocol.Compression{"", protocol.CompressionZstd} {
		job.Codec = codec
		needed := int64(1<<20 + batchMemory)
		if codec == protocol.CompressionZstd {
			needed += 1 << 20 // the frames, and the blocks that they are compressed into
		}
		for limit, fits := range map[int64]bool{needed: true, needed - 1: false} {
			p, err := NewPlan(job, limit)
			if err == nil {
				err = p.Add(e)
			}
			if (err == nil) != fits {
				t.Errorf("%q with %d bytes: error %v", codec, limit, err)
			}
		}
	}
}

func TestBlockIsReadOnceForItsBatches(t *testing.T) {
	block := messages.Extent{Key: "k", Length: 50, CRC: 3, Block: messages.InBlock{Codec: protocol.CompressionZstd, Bytes: 300}}
	e := entry(11, 100, 0, 10, 10)
	for i := range e.Entry.Batches {
		x := block
		x.Block.Start, x.Block.Length = uint32(i)*150, 150
		e.Entry.Batches[i].Extent = x
	}
	p, err := plan(e, entry(12, 120, 0), entry(13, 120, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := []BatchRef{{0, 0}, {0, 1}}
	if r := p.Reads(); len(r) != 1 || r[0].Stored != block || !slices.Equal(r[0].Batches, want) {
		t.Errorf("reads %+v", r)
	}
}

// Every batch of a log is read once, whatever the log is, and the offsets add up.
func TestEveryBatchIsReadOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := messages.Position{Sequence: rapid.Uint64Range(1, 50).Draw(t, "first"), Offset: rapid.Int64Range(0, 50).Draw(t, "offset")}
		job := messages.Archive{Base: messages.History{End: messages.Position{Sequence: next.Sequence - 1, Offset: next.Offset}}}
		var entries []messages.LoggedEntry
		batches := 0
		for range rapid.IntRange(1, 20).Draw(t, "entries") {
			gap := rapid.Int64Range(0, 3).Draw(t, "gap")
			records := rapid.SliceOfN(rapid.Uint32Range(1, 9), 0, 4).Draw(t, "records")
			e := entry(next.Sequence, next.Offset+gap, gap, records...)
			entries = append(entries, e)
			batches += len(records)
			next = messages.Position{Sequence: next.Sequence + 1, Offset: e.Entry.NextOffset()}
		}
		job.To = messages.Position{Sequence: next.Sequence - 1, Offset: next.Offset}
		p, err := NewPlan(job, 1<<20)
		for _, e := range entries {
			if err == nil {
				err = p.Add(e)
			}
		}
		if err == nil {
			err = p.Complete()
		}
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[BatchRef]bool)
		for _, r := range p.Reads() {
			for _, ref := range r.Batches {
				if p.Extent(ref).Stored() != r.Stored || seen[ref] {
					t.Fatalf("read %+v", ref)
				}
				seen[ref] = true
			}
		}
		if len(seen) != batches {
			t.Fatalf("%d of %d batches are read", len(seen), batches)
		}
	})
}

// segmentOf returns the entries of the segment of a plan, as a reader gets them.
func segmentOf(t *testing.T, p *Plan, key string) []messages.LoggedEntry {
	t.Helper()
	parts, s, err := p.Build(key)
	if err != nil {
		t.Fatal(err)
	}
	object := bytes.Join(parts, nil)
	footer, _, err := segment.ParseTail(key, object, int64(len(object)))
	if err != nil || footer.Summary != s {
		t.Fatalf("the footer is %+v, %v, want %+v", footer, err, s)
	}
	var all []messages.LoggedEntry
	for i, page := range footer.Pages {
		entries, err := footer.ParsePage(i, object[page.Position:page.Position+page.Length])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entries...)
	}
	return all
}

// framed returns the plan of some entries, with the frames of all batches but the lost ones.
func framed(t *testing.T, lost ...BatchRef) *Plan {
	t.Helper()
	entries := []messages.LoggedEntry{entry(11, 100, 0, 5), entry(12, 107, 2), entry(13, 107, 0, 6, 7)}
	for i := range entries {
		for j := range entries[i].Entry.Batches {
			b := &entries[i].Entry.Batches[j]
			b.MessageID, b.Extent.CRC = fmt.Sprint(i, j), crc32.Checksum(frame(i, j), crc32.MakeTable(crc32.Castagnoli))
		}
	}
	p, err := plan(entries...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Reads() {
		for _, ref := range r.Batches {
			if !slices.Contains(lost, ref) {
				p.Frame(ref, frame(int(ref.Entry), int(ref.Batch)))
			}
		}
	}
	return p
}

// frame returns 100 bytes.
func frame(entry, batch int) []byte { return bytes.Repeat([]byte{byte(10*entry + batch)}, 100) }

func TestSegmentIsWhatWasBuilt(t *testing.T) {
	for _, lost := range [][]BatchRef{nil, {{2, 1}}, {{0, 0}, {2, 0}, {2, 1}}} {
		p := framed(t, lost...)
		for _, key := range []string{"s/1", "s/2"} {
			if err := p.Compare(segmentOf(t, p, key)); err != nil {
				t.Errorf("without %v: %v", lost, err)
			}
		}
	}
}

func TestSegmentThatDiffersIsNoticed(t *testing.T) {
	for name, change := range map[string]func([]messages.LoggedEntry){
		"sequence":     func(e []messages.LoggedEntry) { e[0].Sequence = 14 },
		"below":        func(e []messages.LoggedEntry) { e[0].Sequence = 10 },
		"offset":       func(e []messages.LoggedEntry) { e[0].Entry.BaseOffset++ },
		"gap":          func(e []messages.LoggedEntry) { e[1].Entry.Gap = 0 },
		"time":         func(e []messages.LoggedEntry) { e[1].Entry.Time++ },
		"created":      func(e []messages.LoggedEntry) { e[1].Entry.Created = true },
		"rising":       func(e []messages.LoggedEntry) { e[1].Entry.RisingFrom++ },
		"batches":      func(e []messages.LoggedEntry) { e[2].Entry.Batches = e[2].Entry.Batches[:1] },
		"records":      func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].Records++ },
		"message id":   func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].MessageID = "" },
		"producer":     func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].Sequence.ProducerID++ },
		"frame":        func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].Extent.CRC++ },
		"lost frame":   func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].Extent = messages.Extent{} },
		"found frame":  func(e []messages.LoggedEntry) { e[0].Entry.Batches[0].Extent.Key = "s/1" },
		"frame length": func(e []messages.LoggedEntry) { e[2].Entry.Batches[0].Extent.Length++ },
	} {
		t.Run(name, func(t *testing.T) {
			p := framed(t, BatchRef{0, 0})
			entries := segmentOf(t, p, "s/1")
			change(entries)
			if p.Compare(entries) == nil {
				t.Error("it is not noticed")
			}
		})
	}
}

func TestManifestHasToFitTheJob(t *testing.T) {
	id := protocol.Partition{Topic: "orders", TopicID: 7, Number: 2}
	end := messages.Position{Sequence: 10, Offset: 100}
	job := messages.Archive{Partition: id, Base: messages.History{Manifest: "m/1", Start: 5, End: end}}
	fits := manifest.Manifest{Key: "m/1", Partition: id, Start: 5, End: end}
	if got, err := Base(job, &fits); err != nil || got != &fits {
		t.Errorf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(*manifest.Manifest){
		"topic":     func(m *manifest.Manifest) { m.Partition.TopicID++ },
		"partition": func(m *manifest.Manifest) { m.Partition.Number++ },
		"start":     func(m *manifest.Manifest) { m.Start++ },
		"sequence":  func(m *manifest.Manifest) { m.End.Sequence++ },
		"offset":    func(m *manifest.Manifest) { m.End.Offset++ },
	} {
		other := fits
		change(&other)
		if _, err := Base(job, &other); err == nil || !strings.Contains(err.Error(), "m/1") {
			t.Errorf("another %s: error %v", name, err)
		}
	}
	job.Base.Manifest = ""
	if got, err := Base(job, nil); err != nil || got.Start != 5 || got.End != end || len(got.Segments) > 0 {
		t.Errorf("the first one is %+v, %v", got, err)
	}
}

func TestInlineBatchesNeedNoRead(t *testing.T) {
	inline := func(flip uint32) (*Plan, error) {
		first, second := entry(11, 100, 0, 5, 6), entry(12, 111, 0, 2)
		b := &first.Entry.Batches[0]
		b.Inline = []byte("a frame in the log")
		b.Extent = messages.InlineExtent(b.Inline)
		b.Extent.CRC ^= flip
		return plan(first, second, entry(13, 113, 0, 7))
	}
	p, err := inline(0)
	if err != nil || p.Corrupt() != nil || len(p.Reads()) != 3 {
		t.Fatalf("errors are %v and %v, reads are %+v", err, p.Corrupt(), p.Reads())
	}
	if got := string(p.frames[0][0]); got != "a frame in the log" {
		t.Errorf("the frame is %q", got)
	}
	p, err = inline(1)
	if err != nil || p.Corrupt() == nil || !strings.Contains(p.Corrupt().Error(), "batch 0 of entry 11") || p.frames[0][0] != nil {
		t.Errorf("errors are %v and %v, the frame of a corrupt batch is %q", err, p.Corrupt(), p.frames[0][0])
	}
}
