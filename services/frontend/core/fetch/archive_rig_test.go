package fetch

import (
	"fmt"
	"math"
	"slices"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// modelArchive is the history of a modelLog, and what was purged from its stream.
type modelArchive struct {
	history messages.History
	archive []archived // entries from the first sequence of the log on
	purged  uint64     // the stream has no entries up to this sequence
	collect bool       // whether the objects of archived entries are deleted
	absent  bool       // whether the store does not return entries of the history
	noIndex bool       // whether the manifest cannot be read
}

// archived is an entry in the history.
type archived struct {
	messages.Entry
	damaged bool
}

// pageEntries is how many entries of a history are damaged together.
const pageEntries = 3

// archiveUpTo archives the entries up to a sequence, but none from a damaged one on. The log says
// so in another entry.
func (l *modelLog) archiveUpTo(last uint64) {
	for s := l.first + uint64(len(l.archive)); s <= min(last, l.last()); s++ {
		e := l.at(s)
		if e.lost || e.corrupt {
			break
		}
		stripped := messages.Entry{TopicID: e.TopicID, BaseOffset: e.BaseOffset, Gap: e.Gap, Time: e.Time, RisingFrom: e.RisingFrom, Batches: slices.Clone(e.Batches)}
		for i := range stripped.Batches {
			stripped.Batches[i].Extent.Key = "segment"
		}
		l.archive = append(l.archive, archived{Entry: stripped})
	}
	if len(l.archive) == 0 {
		return
	}
	end := messages.Position{Sequence: l.first + uint64(len(l.archive)) - 1, Offset: l.archive[len(l.archive)-1].NextOffset()}
	if end != l.history.End {
		l.history.Manifest, l.history.End = fmt.Sprint("manifest up to ", end.Sequence), end
		l.commit()
	}
}

// purge removes what is archived from the stream.
func (l *modelLog) purge() { l.purged = l.history.End.Sequence }

// page returns the first entry of the page that has an entry, and that of the next page.
func (l *modelLog) page(sequence uint64) (first, next uint64) {
	first = sequence - (sequence-l.first)%pageEntries
	return first, first + pageEntries
}

// damagePage damages the page of an entry in the history.
func (l *modelLog) damagePage(sequence uint64) {
	first, next := l.page(sequence)
	for s := first; s < next && s-l.first < uint64(len(l.archive)); s++ {
		l.archive[s-l.first].damaged = true
	}
}

// fails returns why nothing can be read of a history; nil if something can.
func (l *modelLog) fails(h messages.History) Event {
	switch {
	case l.absent:
		return Failed{Err: protocol.NewError(protocol.CodeStoreUnavailable, "it asks for fewer requests"), Random: 0.5}
	case h != l.history:
		return Failed{Err: protocol.NewError(protocol.CodeCorrupt, "the manifest is gone"), Next: l.after(h.End)}
	case l.noIndex:
		return Failed{Err: protocol.NewError(protocol.CodeCorrupt, "the manifest is damaged"), Next: l.after(h.End)}
	}
	return nil
}

func (l *modelLog) after(end messages.Position) messages.Position {
	end.Sequence++
	return end
}

// firstArchived returns the first entry of the first page with an entry that ends above the log
// start offset.
func (l *modelLog) firstArchived() uint64 {
	for i := range l.archive {
		if l.archive[i].NextOffset() > l.history.Start || i == 0 && l.history.Start == 0 {
			first, _ := l.page(l.first + uint64(i))
			return first
		}
	}
	return l.history.End.Sequence + 1
}

func (l *modelLog) readArchived(q Read) Event {
	if q.From > q.History.End.Sequence {
		panic("a read behind the end of the history")
	}
	if e := l.fails(q.History); e != nil {
		return e
	}
	from := max(q.From, l.firstArchived())
	_, next := l.page(from)
	next = min(next, q.History.End.Sequence+1)
	var found []messages.LoggedEntry
	for s := from; s < next && len(found) < q.Limit; s++ {
		e := l.archive[s-l.first]
		if e.damaged {
			for !l.archive[next-1-l.first].damaged {
				next-- // these were archived after the page was damaged
			}
			after := messages.Position{Sequence: next, Offset: l.history.End.Offset}
			if next <= q.History.End.Sequence {
				after.Offset = l.archive[next-l.first].BaseOffset
			}
			return Failed{Err: protocol.Errorf(protocol.CodeCorrupt, "entry %d of the history is damaged", s), Next: after}
		}
		found = append(found, messages.LoggedEntry{Sequence: s, Entry: e.Entry})
	}
	return Entries{found}
}

// narrow answers as the index of a history does, which knows the first entry of each page.
func (l *modelLog) narrow(q Narrow) Event {
	if q.Low >= q.Above || q.Above > q.History.End.Sequence+1 {
		panic(fmt.Sprintf("%+v", q))
	}
	if e := l.fails(q.History); e != nil {
		return e
	}
	n := Narrowed{First: l.firstArchived(), Low: q.Low, Above: q.Above}
	for s := l.first; s <= q.History.End.Sequence; s += pageEntries {
		e := &l.archive[s-l.first]
		behind := e.BaseOffset > q.Offset
		if q.Time != nil {
			behind = !e.At().Before(*q.Time)
		}
		switch {
		case s < q.Low || s >= q.Above:
		case behind:
			n.Above = min(n.Above, s)
		default:
			n.Low = max(n.Low, s)
		}
	}
	return n
}

// truncate raises the log start offset.
func (l *modelLog) truncate(start int64) {
	l.history.Start = min(start, l.history.End.Offset)
	l.history.Manifest += fmt.Sprint(" from ", start)
	l.commit()
}

// payload returns the payload of an extent.
func (l *modelLog) payload(x messages.Extent) Payload {
	offset := x.Offset
	if x.Compressed() {
		offset = int64(x.Block.Start) // see blockLog
	}
	if l.collect && x.Key == "object" && offset < l.history.End.Offset {
		return Payload{Err: protocol.NewError(protocol.CodeCorrupt, "the object is missing")}
	}
	return l.payloads[offset]
}

// giveUp archives the batch at an offset as one that could not be read.
func (l *modelLog) giveUp(offset int64) {
	for i := range l.archive {
		for j := range l.archive[i].Batches {
			if b := &l.archive[i].Batches[j]; b.Extent.Offset == offset {
				l.archive[i].Batches = append([]messages.Placeholder{}, l.archive[i].Batches...)
				l.archive[i].Batches[j].Extent = messages.Extent{}
				return
			}
		}
	}
	panic(fmt.Sprint("no batch in the history has offset ", offset))
}

const forever = math.MaxUint64
