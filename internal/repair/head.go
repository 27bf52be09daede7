package repair

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// head is the description of a batch in its object, without the payload.
type head struct {
	messages.Batch
	epoch  uint64
	extent messages.Extent
	inline []byte            // the frame, if it stands in the log
	others []messages.Extent // copies of the batch, in case this one cannot be read
	// messageIDAt is the offset of a batch with the same message id in the log; negative if
	// there is none.
	messageIDAt int64
}

func headOf(b *objectstore.StoredBatch) head {
	return head{Batch: b.Batch.Batch, epoch: b.Epoch, extent: b.Extent, messageIDAt: -1}
}

func (h *head) staged() time.Time { return objectstore.KeyTime(h.extent.Key) }

// ticket identifies a batch across all frontends and restarts.
type ticket struct {
	epoch uint64
	messages.Ticket
}

func (h *head) ticket() ticket { return ticket{h.epoch, h.Ticket} }

// place identifies a batch of an idempotent producer.
type place struct {
	sequence messages.Sequence
	records  uint32
}

// candidates are the batches of a partition in the object store to which no entry of its log
// refers. Some of them are lost batches; the others are copies, or were refused. They belong
// to one goroutine.
type candidates struct {
	heads   []head
	copies  int
	refused int
}

// matcher finds the candidates that the log explains: copies of batches that are in the log,
// and batches that the log lists as refused. What remains may be lost.
//
// A candidate is a copy if a batch in the log has the same ticket, or the same producer
// sequence. A batch with the same message id may or may not be a copy, so it remains, with
// the offset of the one in the log.
//
// Segments have no tickets. A candidate without a producer sequence is a copy of an archived batch
// if both have the same payload and message id. Of several such candidates, each archived batch
// explains one, the oldest first, and those with the same ticket.
type matcher struct {
	byTicket    map[ticket][]int
	byPlace     map[place][]int
	byMessageID map[string][]int
	byContent   map[content][]int
	found       []explanation
	of          *candidates
}

type explanation uint8

const (
	unexplained explanation = iota
	copied
	refused
)

func newMatcher(of *candidates) *matcher {
	s := &matcher{
		byTicket: make(map[ticket][]int), byPlace: make(map[place][]int), byMessageID: make(map[string][]int), byContent: make(map[content][]int),
		found: make([]explanation, len(of.heads)), of: of,
	}
	for i := range of.heads {
		h := &of.heads[i]
		s.byTicket[h.ticket()] = append(s.byTicket[h.ticket()], i)
		if h.Sequence.ProducerID != 0 {
			at := place{h.Sequence, h.Records}
			s.byPlace[at] = append(s.byPlace[at], i)
		} else {
			is := contentOf(&h.Batch, h.extent)
			s.byContent[is] = append(s.byContent[is], i)
		}
		if h.MessageID != "" {
			s.byMessageID[h.MessageID] = append(s.byMessageID[h.MessageID], i)
		}
	}
	for _, same := range s.byContent {
		slices.SortFunc(same, func(a, b int) int { return of.heads[a].staged().Compare(of.heads[b].staged()) })
	}
	return s
}

// archived marks the candidates that an entry of a segment explains.
func (s *matcher) archived(n *messages.Entry) {
	offset := n.BaseOffset
	for i := range n.Batches {
		b := &n.Batches[i]
		if b.Sequence.ProducerID != 0 {
			s.mark(s.byPlace[place{b.Sequence, b.Records}], copied)
		} else {
			s.explain(contentOf(&b.Batch, b.Extent))
		}
		s.repeats(b.MessageID, offset)
		offset += int64(b.Records)
	}
}

// explain marks the oldest candidate with a content that has no explanation yet.
func (s *matcher) explain(is content) {
	same := s.byContent[is]
	for len(same) > 0 && s.found[same[0]] != unexplained {
		same = same[1:]
	}
	if len(same) > 0 {
		s.mark(s.byTicket[s.of.heads[same[0]].ticket()], copied)
	}
	s.byContent[is] = same
}

// repeats notes that the log has a batch with a message id at an offset.
func (s *matcher) repeats(messageID string, offset int64) {
	if messageID == "" {
		return
	}
	for _, at := range s.byMessageID[messageID] {
		s.of.heads[at].messageIDAt = offset
	}
}

// entry marks the candidates that an entry of the log explains.
func (s *matcher) entry(n *messages.Entry) {
	offset := n.BaseOffset
	for i := range n.Batches {
		b := &n.Batches[i]
		s.mark(s.byTicket[ticket{n.Epoch, b.Ticket}], copied)
		s.mark(s.byPlace[place{b.Sequence, b.Records}], copied)
		s.repeats(b.MessageID, offset)
		offset += int64(b.Records)
	}
	for _, r := range n.Refused {
		for _, number := range r.Numbers {
			s.mark(s.byTicket[ticket{n.Epoch, messages.Ticket{Lane: r.Lane, Number: number}}], refused)
		}
	}
}

func (s *matcher) mark(which []int, f explanation) {
	for _, i := range which {
		s.found[i] = f
	}
}

// finish removes the explained candidates, and sorts the others for the export: by epoch,
// lane and ticket. Of several with the same payload and the same ticket or producer
// sequence, it keeps the first; the others become its copies.
func (s *matcher) finish() {
	c := s.of
	var left []head
	for i := range c.heads {
		switch s.found[i] {
		case copied:
			c.copies++
		case refused:
			c.refused++
		default:
			left = append(left, c.heads[i])
		}
	}
	slices.SortFunc(left, func(a, b head) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Number, b.Number),
			cmp.Compare(a.extent.Key, b.extent.Key), cmp.Compare(a.extent.Offset, b.extent.Offset))
	})
	c.heads = collapse(left)
	c.copies += len(left) - len(c.heads)
}

// payload distinguishes payloads without reading them.
type payload struct {
	length int64
	crc    uint32
}

// content distinguishes batches without a producer sequence.
type content struct {
	payload
	records   uint32
	messageID string
}

func contentOf(b *messages.Batch, x messages.Extent) content {
	return content{payload{x.FrameLength(), x.FrameCRC()}, b.Records, b.MessageID}
}

// collapse joins copies of the same batch.
func collapse(sorted []head) []head {
	type repetition struct {
		ticket
		place
		payload
	}
	seen := make(map[repetition]int, len(sorted))
	kept := sorted[:0]
	for i := range sorted {
		h := &sorted[i]
		r := repetition{payload: payload{h.extent.FrameLength(), h.extent.FrameCRC()}}
		if h.Sequence.ProducerID != 0 {
			r.place = place{h.Sequence, h.Records}
		} else {
			r.ticket = h.ticket()
		}
		if first, twice := seen[r]; twice {
			kept[first].others = append(kept[first].others, h.extent)
			continue
		}
		seen[r] = len(kept)
		kept = append(kept, *h)
	}
	return kept
}

// lanes returns a summary per lane. The heads must be sorted by lane.
func lanes(sorted []head) []Lane {
	all := []Lane{}
	for i := range sorted {
		h := &sorted[i]
		if n := len(all); n == 0 || all[n-1].FrontendEpoch != h.epoch || all[n-1].Lane != h.Lane {
			all = append(all, Lane{
				FrontendEpoch: h.epoch, Lane: h.Lane, FirstTicket: h.Number, FirstStaged: h.staged(), LastStaged: h.staged(),
			})
		}
		l := &all[len(all)-1]
		l.LastTicket = h.Number
		l.Batches++
		l.Records += int64(h.Records)
		l.Bytes += h.extent.FrameLength()
		if at := h.staged(); at.Before(l.FirstStaged) {
			l.FirstStaged = at
		} else if at.After(l.LastStaged) {
			l.LastStaged = at
		}
	}
	return all
}
