package repair

import (
	"fmt"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// logScan finds out what a log has and lacks. It is called for each readable entry and each
// hole in their order. It is pure, and belongs to one goroutine.
type logScan struct {
	log     Log
	created bool             // the log has its first entry
	first   uint64           // sequence of the first entry that can be read
	history messages.History // the newest one that an entry has
	unknown []Offsets
	wrong   []string               // contradictions between readable entries
	holes   []partitionlog.Missing // before the next entry
}

func (r *logScan) missing(m partitionlog.Missing) error {
	r.holes = append(r.holes, m)
	return nil
}

// entry handles the next readable entry. Its base offset, minus its gap, shows where the
// entry before it has ended, and with that which offsets a hole between them had.
func (r *logScan) entry(e *messages.LoggedEntry) {
	n := &e.Entry
	begin := n.BaseOffset - n.Gap // the end of the entry before it
	if r.log.Entries == 0 && len(r.holes) == 0 && n.Created {
		r.created, r.log.FirstOffset, r.log.EndOffset = true, begin, begin
	}
	if n.History.Archived() && n.History.End.Sequence >= r.history.End.Sequence {
		r.history = n.History // its manifest may be another one with the same end
	}
	r.closeHoles(&begin)
	switch {
	case r.log.Entries == 0 && len(r.holes) == 0 && !n.Created:
		r.wrong = append(r.wrong, fmt.Sprintf("entry %d is not the first entry of a created log", e.Sequence))
	case begin > r.log.EndOffset && len(r.holes) == 0:
		r.wrong = append(r.wrong, fmt.Sprintf("entry %d begins at offset %d, but the one before it ends at %d", e.Sequence, begin, r.log.EndOffset))
		r.unknown = append(r.unknown, Offsets{r.log.EndOffset, new(begin)})
	case begin < r.log.EndOffset:
		r.wrong = append(r.wrong, fmt.Sprintf("entry %d begins at offset %d, but the one before it ends at %d: offsets were used twice",
			e.Sequence, begin, r.log.EndOffset))
	}
	r.holes = nil
	if r.log.Entries == 0 {
		r.first = e.Sequence
	}
	if n.Gap > 0 {
		r.log.Gaps = append(r.log.Gaps, Offsets{begin, new(n.BaseOffset)})
	}
	r.log.Entries++
	r.log.EndSequence, r.log.EndOffset = e.Sequence, n.NextOffset()
	r.log.EndTime = new(n.At().UTC())
}

// closeHoles records the holes before an entry that starts at to, or, if to is nil, at the
// end of the log.
func (r *logScan) closeHoles(to *int64) {
	for _, m := range r.holes {
		h := Hole{m.First, m.Last, Offsets{r.log.EndOffset, to}, m.Reason}
		r.log.Holes = append(r.log.Holes, h)
	}
	if len(r.holes) > 0 && (to == nil || *to > r.log.EndOffset) {
		r.unknown = append(r.unknown, Offsets{r.log.EndOffset, to})
	}
}

// newer returns the history that ends or begins later. If neither does, it is a: retention changes
// the start only, and a merge of segments neither of the two.
func newer(a, b messages.History) messages.History {
	if b.Archived() && (b.End.Sequence > a.End.Sequence || b.End.Sequence == a.End.Sequence && b.Start > a.Start) {
		return b
	}
	return a
}

// finish adds the findings to p. bounds is nil if the stream does not exist. archived is the newest
// history that is known, and covered the last entry of the newest snapshot, or 0: entries before
// both may be purged. finish may be called again, for another Partition.
func (r *logScan) finish(p *Partition, bounds *partitionlog.Bounds, archived messages.History, covered uint64) {
	p.Log = r.log
	p.Unknown = nil
	last := uint64(0)
	switch {
	case bounds == nil:
		p.Findings = append(p.Findings, fmt.Sprintf("the log %s does not exist", p.LogName))
	case bounds.Last < bounds.First:
		p.Findings = append(p.Findings, fmt.Sprintf("the log %s is empty, although its creation has written an entry", p.LogName))
	}
	if bounds != nil && bounds.Sealed {
		// This is a finding even if the log is whole, for example because its file was
		// restored: a seal cannot be undone, so the log has to be continued.
		p.Findings = append(p.Findings, fmt.Sprintf("the log %s is sealed: an --accept-loss is under way, or was interrupted and must be given again", p.LogName))
	}
	if bounds != nil {
		p.Log.Exists, p.Log.FirstSequence, p.Log.LastSequence = true, bounds.First, bounds.Last
		last = bounds.Last
		r.closeHoles(nil)
		r.holes = nil
	}
	p.addHistory(archived)
	p.addHoles(r.log.Holes, r.needed(archived, covered))
	p.addUnknown(r.unknown, last)
	if p.History != nil && covered == 0 && !r.created && r.log.Entries > 0 {
		p.Findings = append(p.Findings, fmt.Sprintf("the log was purged, its first entry that can be read is %d, and none of its snapshots can be read: "+
			"the records are not affected, but it is not known which batches producers have sent and which message ids were used", r.first))
	}
	p.Findings = append(p.Findings, r.wrong...)
	p.Log.Holes, p.Log.Gaps, p.Unknown = orEmpty(p.Log.Holes), orEmpty(p.Log.Gaps), orEmpty(p.Unknown)
	p.compareSnapshot()
	p.compareMark()
}

// needed returns the first sequence that the log has to have. Readers need the entries after the
// history, and an owner those from the last one that its snapshot covers. Without a snapshot, an
// owner needs all entries, unless the first one was purged: then no entry helps.
func (r *logScan) needed(archived messages.History, covered uint64) uint64 {
	switch {
	case !archived.Archived():
		return 0
	case covered > 0:
		return min(archived.End.Sequence+1, covered)
	case r.created:
		return 0
	}
	return archived.End.Sequence + 1
}

// addHistory adds what is archived.
func (p *Partition) addHistory(h messages.History) {
	p.History = nil
	if !h.Archived() {
		return
	}
	p.History = &History{Manifest: h.Manifest, StartOffset: h.Start, EndSequence: h.End.Sequence, EndOffset: h.End.Offset}
	p.Log.FirstOffset = h.Start
}

// addHoles adds the holes from a sequence on. The entries before it may be purged.
func (p *Partition) addHoles(holes []Hole, needed uint64) {
	p.Log.Holes, p.Purged = nil, nil
	for _, h := range holes {
		if h.FirstSequence < needed {
			purged := h
			purged.LastSequence = min(h.LastSequence, needed-1)
			p.Purged = append(p.Purged, purged)
		}
		if h.LastSequence < needed {
			continue
		}
		h.FirstSequence = max(h.FirstSequence, needed)
		switch {
		case p.History == nil:
		case h.LastSequence <= p.History.EndSequence:
			h.Reason += "; its records are archived"
		default:
			h.From = max(h.From, p.History.EndOffset)
		}
		p.Log.Holes = append(p.Log.Holes, h)
		p.Findings = append(p.Findings, h.describe())
	}
}

// addUnknown adds the unknown offsets that are not archived. last is the last sequence of the
// stream.
func (p *Partition) addUnknown(unknown []Offsets, last uint64) {
	for _, o := range unknown {
		if h := p.History; h != nil {
			if o.To == nil && h.EndSequence >= last || o.To != nil && *o.To <= h.EndOffset {
				continue
			}
			o.From = max(o.From, h.EndOffset)
		}
		p.Unknown = append(p.Unknown, o)
	}
}

// end returns where the readable part of the log ends, with its history.
func (p *Partition) end() messages.Position {
	end := messages.Position{Sequence: p.Log.EndSequence, Offset: p.Log.EndOffset}
	if h := p.History; h != nil {
		end.Sequence, end.Offset = max(end.Sequence, h.EndSequence), max(end.Offset, h.EndOffset)
	}
	return end
}

// compareSnapshot adds a finding if the snapshot proves that entries are missing.
func (p *Partition) compareSnapshot() {
	end, s := p.end(), p.Snapshot
	if s == nil || s.Sequence <= end.Sequence {
		return
	}
	p.Findings = append(p.Findings, fmt.Sprintf(
		"the log can be read up to sequence %d and offset %d, the snapshot of %s covers it up to sequence %d and offset %d",
		end.Sequence, end.Offset, s.Time.Format(time.RFC3339), s.Sequence, s.EndOffset))
	p.extendUnknown(s.EndOffset)
}

// compareMark adds a finding if the mark proves that entries are missing. Only its written
// position proves something. The reserved one is ahead of the appends of a running owner, and
// stays ahead after a crash.
func (p *Partition) compareMark() {
	m := p.Mark
	if m == nil {
		return
	}
	end := p.end()
	if end.Covers(m.Written) {
		return
	}
	p.Findings = append(p.Findings, fmt.Sprintf(
		"the log can be read up to sequence %d and offset %d, the mark says that it was written up to sequence %d and offset %d, and no further than offset %d",
		end.Sequence, end.Offset, m.Written.Sequence, m.Written.Offset, m.Reserved.Offset))
	p.extendUnknown(m.Reserved.Offset)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// extendUnknown extends the unknown offsets up to end, which the log had once reached.
func (p *Partition) extendUnknown(end int64) {
	from := p.end().Offset
	if end <= from {
		return
	}
	if last := len(p.Unknown) - 1; last >= 0 && p.Unknown[last].From == from {
		if to := p.Unknown[last].To; to == nil || *to < end {
			p.Unknown[last].To = new(end)
		}
		return
	}
	p.Unknown = append(p.Unknown, Offsets{from, new(end)})
}

func (h *Hole) describe() string {
	sequences := fmt.Sprintf("sequence %d", h.FirstSequence)
	if h.LastSequence > h.FirstSequence {
		sequences = fmt.Sprintf("sequences %d to %d", h.FirstSequence, h.LastSequence)
	}
	return fmt.Sprintf("%s, %s: %s", sequences, h.Offsets, h.Reason)
}

// String returns the range for people, with its last offset instead of To.
func (o Offsets) String() string {
	switch {
	case o.To == nil:
		return fmt.Sprintf("offsets from %d on", o.From)
	case *o.To <= o.From:
		return "no offsets"
	case *o.To == o.From+1:
		return fmt.Sprintf("offset %d", o.From)
	}
	return fmt.Sprintf("offsets %d to %d", o.From, *o.To-1)
}
