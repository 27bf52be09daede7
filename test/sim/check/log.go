package check

import (
	"fmt"
	"math"
	"time"

	"laneway.dev/pkg/messages"
)

// Committed is an entry that was added to the log.
type Committed struct {
	Entry *messages.LoggedEntry
	By    string // the replicator that appended it
}

func (c Committed) look(s *State) {
	e, n := c.Entry, &c.Entry.Entry
	s.sequence++
	if e.Sequence != s.sequence {
		s.violated("log: entry %d follows entry %d", e.Sequence, s.sequence-1)
	}
	if n.BaseOffset-n.Gap != s.nextOffset || n.Gap > 0 && n.Owner == "" {
		s.violated("I6: entry %d starts at offset %d after a gap of %d, the one before ends at %d", e.Sequence, n.BaseOffset, n.Gap, s.nextOffset)
	}
	if n.Gap > 0 {
		s.counts.Gaps++
	}
	s.nextOffset = n.BaseOffset
	s.ends = append(s.ends, n.NextOffset())
	s.history(e, c.By)
	s.watermarked(e)
	if n.Time < s.time && n.RisingFrom != e.Sequence {
		s.violated("log: entry %d is %s older than the one before", e.Sequence, time.Duration(s.time-n.Time))
	}
	s.time, s.newest = n.Time, n.BaseOffset
	switch {
	case n.Owner != "":
		s.owner = n.Owner
		s.counts.Terms++
		return
	case c.By != s.owner:
		s.violated("I8: entry %d of %s is committed after the term record of %s", e.Sequence, c.By, s.owner)
	}
	if n.Epoch < s.frontend || n.SequencerEpoch < s.sequencer {
		s.violated("I1: entry %d is of epochs %d, %d after %d, %d", e.Sequence, n.Epoch, n.SequencerEpoch, s.frontend, s.sequencer)
	}
	s.frontend, s.sequencer = n.Epoch, n.SequencerEpoch
	if len(n.Batches) == 0 && len(n.Fences) == 0 {
		s.counts.Barriers++
	}
	for i := range n.Batches {
		s.mayAppend(c.By, TicketOf(n.Epoch, n.Batches[i].Ticket))
		s.batch(e, &n.Batches[i])
	}
	for _, f := range n.Fences {
		s.counts.Fences++
		s.epochs.put(s, f.ProducerID, max(s.epochs[f.ProducerID], f.ProducerEpoch))
		if f.Continues != 0 {
			s.epochs.put(s, f.Continues, math.MaxInt16)
		}
	}
}

// Stored is a batch that is durable in the object store.
type Stored struct {
	Extent messages.Extent
	Batch  Batch
}

func (d Stored) look(s *State) { s.stored.put(s, d.Extent, d.Batch) }

// content returns the batch of a placeholder.
func (s *State) content(b *messages.Placeholder) (Batch, error) {
	if b.IsInline() {
		frame, err := b.InlineFrame()
		return ReadBatch(frame), err
	}
	batch, durable := s.stored[b.Extent]
	if !durable {
		return batch, fmt.Errorf("it refers to %s, which is not stored", b.Extent.Key)
	}
	return batch, nil
}

func (s *State) batch(e *messages.LoggedEntry, b *messages.Placeholder) {
	t := TicketOf(e.Entry.Epoch, b.Ticket)
	s.ticketLogged(t, b.Floor)
	batch, err := s.content(b)
	if err != nil {
		s.violated("durability: entry %d: %v", e.Sequence, err)
		return
	}
	if b.IsInline() {
		s.counts.Inline++
	}
	s.needs(e, b.Extent.Key)
	switch i, known := s.issues[t]; {
	case !known:
		s.violated("I1: entry %d has %s, which was never issued for this partition", e.Sequence, t)
	case i.batch != batch:
		s.violated("I6: entry %d has %s with the payload of another one", e.Sequence, t)
	}
	if b.Sequence.ProducerID != 0 {
		s.sequenceLogged(e, b, batch)
	}
	if int(b.Records) != batch.Records {
		s.violated("I6: entry %d has a batch of %d records where %d are stored", e.Sequence, b.Records, batch.Records)
	}
	s.frames = append(s.frames, frame{s.nextOffset, int64(batch.Records), e.Entry.At(), batch, b.Extent})
	for n := range batch.Records {
		record := Record{batch.Client, batch.First + n}
		if at, there := s.places[record]; there {
			s.violated("I6: record %d of client %d is at offset %d, and is added at %d", record.Record, record.Client, at, s.nextOffset)
		}
		s.places.put(s, record, s.nextOffset)
		s.nextOffset++
	}
	s.lastID = b.MessageID
}

// sequenceLogged checks that the records of an idempotent client are added in the order of
// its source, without gaps, and that none comes from a fenced instance.
func (s *State) sequenceLogged(e *messages.LoggedEntry, b *messages.Placeholder, batch Batch) {
	q := b.Sequence
	if q.Last(b.Records) < q.First {
		s.counts.Wraps++
	}
	if q.ProducerEpoch < s.epochs[q.ProducerID] {
		s.violated("fencing: entry %d is of epoch %d of producer %d after %d", e.Sequence, q.ProducerEpoch, q.ProducerID, s.epochs[q.ProducerID])
	}
	s.epochs.put(s, q.ProducerID, q.ProducerEpoch)
	of := life{q.ProducerID, q.ProducerEpoch, Record{batch.Client, batch.First}}
	if s.absent[of] {
		s.violated("I6: %s is added to the log, and its client has learned that it never would be", of)
	}
	s.lives.put(s, of, true)
	if next := s.sources[batch.Client]; batch.First != next {
		s.violated("I6: entry %d has records %d to %d of client %d, record %d comes next",
			e.Sequence, batch.First, batch.First+batch.Records-1, batch.Client, next)
	}
	s.sources.put(s, batch.Client, batch.First+batch.Records)
}

// laneLog is what the log has of a lane.
type laneLog struct {
	last, floor uint64
	at          time.Time // when the last batch came
}

// ticketLogged checks the order of the lane that a batch belongs to.
func (s *State) ticketLogged(t Ticket, floor uint64) {
	lane, known := s.lanes[t.LaneKey]
	if !known {
		lane.at = s.now
	}
	switch {
	case t.Number <= lane.last:
		s.violated("I1: %s is added to the log after %d", t, lane.last)
	case t.Number < lane.floor:
		s.violated("I1: %s is added to the log after a floor of %d: it was resolved", t, lane.floor)
	}
	if s.idle(lane) {
		s.evictions.put(s, t.Epoch, true)
	}
	s.lanes.put(s, t.LaneKey, laneLog{t.Number, max(lane.floor, floor), s.now})
	i, known := s.issues[t]
	if !known {
		s.violated("I1: %s is added to the log, and was never issued", t)
		return
	}
	i.logged, i.offset = true, s.nextOffset
	s.issues.put(s, t, i)
	s.contradicts(t, i)
	s.skipped(t, i)
}

// contradicts checks that the expectation of a batch in the log is met, and that its producer
// has not received a promise of its absence.
func (s *State) contradicts(t Ticket, i issue) {
	if i.never != "" {
		s.violated("I3: %s is added to the log, and its producer has received a promise that it never would be: %s", t, i.never)
	}
	if x := i.expect; x.HasSequence && x.Sequence != uint64(s.nextOffset) {
		s.violated("expectation: %s is added at offset %d, and expects %d", t, s.nextOffset, x.Sequence)
	}
	if x := i.expect; x.MessageID != "" && x.MessageID != s.lastID {
		s.violated("expectation: %s follows message id %q, and expects %q", t, s.lastID, x.MessageID)
	}
}

// skipped checks that every earlier batch on the lane is resolved when a batch is added to
// the log. It leaves out batches that may be resolved without a trace in the log:
//
//   - A batch with a message id may have repeated one, or its expectation was not met.
//   - A batch of an idempotent producer may be out of sequence. For these, sequenceLogged
//     checks that no sequence is missing.
//   - An owner that has forgotten a lane refuses the numbers that may be in the log, and
//     accepts those above them. The refusals may still be on their way.
func (s *State) skipped(by Ticket, i issue) {
	if !i.plain || s.forgetful(by.Epoch) {
		return
	}
	for _, number := range s.open[by.LaneKey] {
		before := Ticket{by.LaneKey, number}
		if o := s.issues[before]; number < by.Number && !o.logged && o.messageID == "" && !o.refused {
			s.violated("I2: %s is skipped: %d is added to the log, and it is not resolved", before, by.Number)
		}
	}
}

// idle reports whether a lane may count as idle for an owner. The clock of that owner may
// differ from the clock of the previous one by twice the skew.
func (s *State) idle(lane laneLog) bool {
	return s.now.Sub(lane.at) >= s.limits.LaneExpiry-2*s.limits.Skew
}

// forgetful reports whether an owner may have forgotten a lane of a frontend epoch.
func (s *State) forgetful(epoch uint64) bool {
	for of, lane := range s.lanes {
		if of.Epoch == epoch && s.idle(lane) && !s.evictions[epoch] {
			s.evictions.put(s, epoch, true)
		}
	}
	return s.evictions[epoch] || s.limits.ForgetsLanes
}
