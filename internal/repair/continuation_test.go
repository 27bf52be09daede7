package repair

import (
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// oldLog draws a log as owners write it, with times that fall now and then.
func oldLog(t *rapid.T) []messages.LoggedEntry {
	log := []messages.LoggedEntry{{Sequence: 1, Entry: messages.Entry{TopicID: 7, Created: true}}}
	var rising uint64
	for range rapid.IntRange(0, 20).Draw(t, "entries") {
		last := &log[len(log)-1]
		e := messages.LoggedEntry{Sequence: last.Sequence + 1, Entry: messages.Entry{TopicID: 7, Epoch: last.Entry.Epoch}}
		e.Entry.Gap = rapid.SampledFrom([]int64{0, 0, 0, 5}).Draw(t, "gap")
		e.Entry.BaseOffset = last.Entry.NextOffset() + e.Entry.Gap
		e.Entry.Time = last.Entry.Time + rapid.SampledFrom([]int64{0, 1, 10, -3}).Draw(t, "later")
		if e.Entry.Time < last.Entry.Time {
			rising = e.Sequence
		}
		e.Entry.RisingFrom = rising
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			e.Entry.Owner, e.Entry.OwnerEpoch = "owner", e.Sequence
		case 1:
			e.Entry.Epoch++
		default:
			e.Entry.Batches = []messages.Placeholder{{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: e.Sequence}, Records: uint32(rapid.IntRange(1, 3).Draw(t, "records"))}}}
		}
		log = append(log, e)
	}
	return log
}

// continued is what a continuation has made of a log.
type continued struct {
	*continuation
	log []messages.LoggedEntry
}

func (c *continued) add(first uint64, entries ...messages.Entry) {
	for _, n := range entries {
		c.log = append(c.log, messages.LoggedEntry{Sequence: first + uint64(len(c.log)), Entry: n})
	}
}

// continueLog continues a log of which some entries are lost.
func continueLog(t failer, log []messages.LoggedEntry, lost map[uint64]bool, snapshot *messages.Snapshot, next int64) *continued {
	const first = 1000
	made, created := newContinuation(protocol.Partition{TopicID: 7}, first, beginning{snapshot: snapshot})
	c := &continued{continuation: made}
	c.add(first, created)
	for i := range log {
		if lost[log[i].Sequence] {
			made.missing(partitionlog.Missing{First: log[i].Sequence, Last: log[i].Sequence})
			continue
		}
		entries, err := made.entry(&log[i])
		if err != nil {
			t.Fatalf("entry %d: %v", log[i].Sequence, err)
		}
		c.add(first, entries...)
	}
	c.add(first, made.finish(next, 50, 1000))
	return c
}

type failer interface {
	Fatalf(format string, args ...any)
}

func TestContinuedLogKeepsOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := oldLog(t)
		lost := make(map[uint64]bool)
		for _, e := range old {
			lost[e.Sequence] = rapid.IntRange(0, 2).Draw(t, "lost") == 0
		}
		end := old[len(old)-1].Entry.NextOffset()
		c := continueLog(t, old, lost, nil, end+10)

		offsets := make(map[int64]uint64) // of batches, by their ticket
		var before *messages.LoggedEntry
		for i := range c.log {
			e := &c.log[i]
			switch {
			case before == nil:
				if !e.Entry.Created || e.Entry.NextOffset() != 0 {
					t.Fatalf("the first entry is %+v", e)
				}
			case e.Entry.Created, e.Entry.BaseOffset-e.Entry.Gap != before.Entry.NextOffset():
				t.Fatalf("entry %+v does not continue %+v", e, before)
			case e.Entry.Time < before.Entry.Time && e.Entry.RisingFrom != e.Sequence,
				e.Entry.Time >= before.Entry.Time && e.Entry.RisingFrom != before.Entry.RisingFrom:
				t.Fatalf("the times of %+v and %+v rise from elsewhere", before, e)
			}
			for _, b := range e.Entry.Batches {
				offsets[e.Entry.BaseOffset] = b.Number
			}
			before = e
		}
		for _, e := range old {
			if len(e.Entry.Batches) > 0 && lost[e.Sequence] == (offsets[e.Entry.BaseOffset] == e.Entry.Batches[0].Number) {
				t.Fatalf("entry %d, lost %v: at its offset %d is %d", e.Sequence, lost[e.Sequence], e.Entry.BaseOffset, offsets[e.Entry.BaseOffset])
			}
		}
		last := c.log[len(c.log)-1].Entry
		if last.NextOffset() != end+10 || last.Epoch <= 50 || c.sequence != c.log[len(c.log)-1].Sequence {
			t.Fatalf("the last entry is %+v, told is sequence %d", last, c.sequence)
		}
		for _, e := range old {
			if !lost[e.Sequence] && e.Entry.Epoch >= last.Epoch {
				t.Fatalf("the last entry has epoch %d, entry %d has %d", last.Epoch, e.Sequence, e.Entry.Epoch)
			}
		}
	})
}

// line is a log of four entries with a batch each, behind the one of its creation.
func line() []messages.LoggedEntry {
	log := []messages.LoggedEntry{{Sequence: 1, Entry: messages.Entry{TopicID: 7, Created: true}}}
	for n := range int64(4) {
		log = append(log, messages.LoggedEntry{Sequence: uint64(n) + 2, Entry: messages.Entry{
			TopicID: 7, Epoch: 3, BaseOffset: n, Time: 10 + n, Batches: []messages.Placeholder{{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: uint64(n) + 1}, Records: 1}}},
		}})
	}
	return log
}

func TestSnapshotCoversReplacementOfItsLastEntry(t *testing.T) {
	lane := messages.SnapshotLane{Lane: "a", Settled: 2}
	for name, test := range map[string]struct {
		lost       []uint64
		covers     uint64 // the last entry of the snapshot; it ends at the offset that follows it
		change     func(*messages.Snapshot)
		at         uint64 // the entry of the new log, counted from its first; 0 if the snapshot is dropped
		keepsLanes bool
	}{
		"its entry is there":                           {covers: 3, at: 3, keepsLanes: true},
		"another entry is lost":                        {covers: 3, lost: []uint64{2}, at: 3, keepsLanes: true},
		"its entry is lost":                            {covers: 3, lost: []uint64{3}, at: 3, keepsLanes: true},
		"its entry and the next one are lost":          {covers: 3, lost: []uint64{3, 4}, at: 3, keepsLanes: true},
		"the end is lost":                              {covers: 5, lost: []uint64{4, 5}, at: 4},
		"everything is lost":                           {covers: 5, lost: []uint64{1, 2, 3, 4, 5}, at: 2},
		"JetStream does not know that the end is lost": {covers: 9, at: 6, change: func(s *messages.Snapshot) { s.NextOffset = 8 }},
		"it is of another time":                        {covers: 3, change: func(s *messages.Snapshot) { s.Time++ }},
		"it ends at another offset":                    {covers: 3, change: func(s *messages.Snapshot) { s.NextOffset++ }},
	} {
		t.Run(name, func(t *testing.T) {
			s := &messages.Snapshot{
				Sequence: test.covers, NextOffset: int64(test.covers) - 1, Time: 8 + int64(test.covers), FrontendEpoch: 3,
				Lanes: []messages.SnapshotLane{lane}, Producers: make([]messages.SnapshotProducer, 1),
			}
			if test.change != nil {
				test.change(s)
			}
			lost := make(map[uint64]bool)
			for _, sequence := range test.lost {
				lost[sequence] = true
			}
			c := continueLog(t, line(), lost, s, 20)
			if test.at == 0 {
				if c.snapshot != nil {
					t.Fatalf("a snapshot that contradicts the log is kept: %+v", c.snapshot)
				}
				return
			}
			e := c.log[test.at-1]
			if s.Sequence != e.Sequence || s.NextOffset != e.Entry.NextOffset() || s.Time != e.Entry.Time || len(s.Producers) != 1 {
				t.Errorf("the snapshot is %+v, its entry %+v", s, e)
			}
			if (len(s.Lanes) == 1) != test.keepsLanes || !test.keepsLanes && s.FrontendEpoch != e.Entry.Epoch {
				t.Errorf("the snapshot has lanes %v of epoch %d, its entry epoch %d", s.Lanes, s.FrontendEpoch, e.Entry.Epoch)
			}
		})
	}
}

func TestALogThatGaveOutOffsetsTwiceIsNotContinued(t *testing.T) {
	log := line()
	log[3].Entry.BaseOffset--
	made, _ := newContinuation(protocol.Partition{TopicID: 7}, 1000, beginning{})
	var err error
	for i := range log {
		if _, err = made.entry(&log[i]); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("it is continued")
	}
}
