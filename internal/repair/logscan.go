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
		r.log.FirstOffset, r.log.EndOffset = begin, begin
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

// finish adds the findings to p. bounds is nil if the stream does not exist.
func (r *logScan) finish(p *Partition, bounds *partitionlog.Bounds) {
	r.log.Holes, r.log.Gaps = orEmpty(r.log.Holes), orEmpty(r.log.Gaps)
	switch {
	case bounds == nil:
		p.Findings = append(p.Findings, fmt.Sprintf("the stream %s does not exist", p.Stream))
	case bounds.Last < bounds.First:
		p.Findings = append(p.Findings, fmt.Sprintf("the stream %s is empty, although its creation has written an entry", p.Stream))
	}
	if bounds != nil && bounds.Sealed {
		// This is a finding even if the log is whole, for example because its file was
		// restored: a seal cannot be undone, so the log has to be continued.
		p.Findings = append(p.Findings, fmt.Sprintf("the stream %s is sealed: an --accept-loss is under way, or was interrupted and must be given again", p.Stream))
	}
	if bounds != nil {
		r.log.Exists, r.log.FirstSequence, r.log.LastSequence = true, bounds.First, bounds.Last
		r.closeHoles(nil)
	}
	for _, h := range r.log.Holes {
		p.Findings = append(p.Findings, h.describe())
	}
	p.Findings = append(p.Findings, r.wrong...)
	p.Log, p.Unknown = r.log, orEmpty(r.unknown)
	if s := p.Snapshot; s != nil && s.Sequence > r.log.EndSequence {
		p.Findings = append(p.Findings, fmt.Sprintf(
			"the log can be read up to sequence %d and offset %d, the snapshot of %s covers it up to sequence %d and offset %d",
			r.log.EndSequence, r.log.EndOffset, s.Time.Format(time.RFC3339), s.Sequence, s.EndOffset))
		p.extendUnknown(s.EndOffset)
	}
	p.compareMark()
}

// compareMark adds a finding if the mark proves that entries are missing. Only its written
// position proves something. The reserved one is ahead of the appends of a running owner, and
// stays ahead after a crash.
func (p *Partition) compareMark() {
	m := p.Mark
	if m == nil {
		return
	}
	end := messages.Position{Sequence: p.Log.EndSequence, Offset: p.Log.EndOffset}
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
	if end <= p.Log.EndOffset {
		return
	}
	if last := len(p.Unknown) - 1; last >= 0 && p.Unknown[last].From == p.Log.EndOffset {
		if to := p.Unknown[last].To; to == nil || *to < end {
			p.Unknown[last].To = new(end)
		}
		return
	}
	p.Unknown = append(p.Unknown, Offsets{p.Log.EndOffset, new(end)})
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
