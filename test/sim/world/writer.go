package world

import (
	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
)

// JournalScheduler decides what happens next to journals, as Scheduler does to all else.
type JournalScheduler interface {
	// AppendGroup is a group on its way to its journal: Propose and Commit, then Ended with n.
	AppendGroup(b *Writer, n uint64, a *journal.Append)
	// ReadJournal is a request for groups from a sequence on: StepWriter of what Journal.Read returns,
	// or of journal.ReadFailed before that.
	ReadJournal(b *Writer, from uint64)
}

// Writer is a journal as one process appends to it and reads it: the core, with the part of its shell
// that answers callers. A process has one for each journal.
type Writer struct {
	By *Process
	Of *Journal

	core    *journal.Appender
	calls   map[uint64]func(journal.Done)
	ids     uint64
	appends uint64 // that were sent
	ended   bool   // the last one

	purging bool // a purge is under way
}

// mostSections and mostBytes bound a group with several sections. They are low, so that groups are full
// now and then.
const (
	mostSections = 5
	mostBytes    = 1500
)

// Writer returns that of a process, which begins to read the journal if it has not read it before.
func (w *World) Writer(p *Process, j *Journal) *Writer {
	if p.writers == nil {
		p.writers = make([]*Writer, len(w.Journals))
	}
	b := p.writers[j.Index]
	if b == nil {
		limits := journal.Limits{Sections: mostSections, Bytes: mostBytes}
		b = &Writer{By: p, Of: j, core: journal.NewAppender(p.Name, limits), calls: map[uint64]func(journal.Done){}, ended: true}
		p.writers[j.Index] = b
		w.doWriter(b, b.core.Start())
	}
	return b
}

// StepWriter lets a writer take events.
func (w *World) StepWriter(b *Writer, events ...journal.Event) {
	if !b.By.Dead {
		w.doWriter(b, b.core.Step(events))
	}
}

// doWriter does what the core asks for.
func (w *World) doWriter(b *Writer, fx journal.Effects) {
	if fx.Append != nil {
		b.appends++
		b.ended = false
		w.journals.AppendGroup(b, b.appends, fx.Append)
	}
	if fx.Read != 0 {
		w.journals.ReadJournal(b, fx.Read)
	}
	for _, d := range fx.Done {
		then := b.calls[d.ID]
		delete(b.calls, d.ID)
		then(d)
	}
}

// Ended lets a writer know how an append has ended, unless it knows already.
func (w *World) Ended(b *Writer, n uint64, e journal.Event) {
	if n == b.appends && !b.ended {
		b.ended = true
		w.StepWriter(b, e)
	}
}

// AppendSection has a section appended to the log of a partition. expected is as in journal.Request. then
// gets the answer; it MUST NOT use the writer before it returns. The id is that for Withdraw.
func (w *World) AppendSection(b *Writer, expected uint64, s messages.Section, then func(journal.Done)) (id uint64) {
	b.ids++
	id = b.ids
	b.calls[id] = then
	w.StepWriter(b, journal.Request{ID: id, Expected: expected, Section: s})
	return id
}

// AppendEntry has an entry appended to the log of a partition, as AppendSection does.
func (w *World) AppendEntry(b *Writer, of *Partition, expected uint64, data []byte, then func(journal.Done)) (id uint64) {
	return w.AppendSection(b, expected, of.section(messages.SectionNext, data), then)
}

// Trim has it appended that a log needs its entries only from a sequence on, as AppendSection does.
func (w *World) Trim(b *Writer, of *Partition, from uint64, then func(journal.Done)) {
	s := of.section(messages.SectionTrimmed, nil)
	s.Sequence = from
	w.AppendSection(b, 0, s, then)
}

// Begin has the first entry of the log of a partition appended, as AppendSection does.
func (w *World) Begin(b *Writer, of *Partition, then func(journal.Done)) {
	w.AppendSection(b, 0, of.firstSection(), then)
}

// Withdraw ends an append for which nobody waits any more, unless it was answered.
func (w *World) Withdraw(b *Writer, id uint64) {
	if _, waits := b.calls[id]; waits {
		w.StepWriter(b, journal.Withdraw{ID: id})
	}
}

// look calls a function once everything is known that was durable before.
func (w *World) look(b *Writer, then func()) {
	b.ids++
	b.calls[b.ids] = func(journal.Done) { then() } // it is never withdrawn, so it has no error
	w.StepWriter(b, journal.Look{ID: b.ids})
}

// Extent calls a function with the extent of a log; false if there is no log. With look, everything is
// known that was durable before, which is checked.
func (w *World) Extent(b *Writer, of *Partition, look bool, then func(state journal.State, exists bool)) {
	id := messages.LogIDOf(of.ID)
	if !look {
		then(b.core.Index().State(id))
		return
	}
	before := of.Log
	w.look(b, func() {
		state, exists := b.core.Index().State(id)
		switch now := &of.Log; {
		case exists && (before.Gone || !now.begun && !now.Gone):
			w.violated(of, "journal: %s knows the log, which was deleted (%t), or has not begun", b.By, before.Gone)
		case !exists && before.begun && !now.Gone:
			w.violated(of, "journal: %s does not know the log", b.By)
		case exists && (state.Last < before.Last() || state.Last > now.Last() || state.Suspect):
			w.violated(of, "journal: %s takes the log to end with %d (suspect: %t); it ended with %d, and ends with %d", b.By, state.Last, state.Suspect, before.Last(), now.Last())
		case exists && (state.First < before.First || state.First > now.First):
			w.violated(of, "journal: %s takes the log to begin with %d; it began with %d, and begins with %d", b.By, state.First, before.First, now.First)
		}
		then(state, exists)
	})
}

// Run are entries of a log that follow each other.
type Run struct {
	first  uint64   // sequence of the first one
	places []uint64 // of their groups
	end    bool     // no known entry follows them
}

// Len returns how many entries there are.
func (r *Run) Len() int { return len(r.places) }

// Ends reports whether so many of the entries are all that the log has.
func (r *Run) Ends(entries int) bool { return r.end && entries == len(r.places) }

// Find calls a function with the places of entries, as Extent does.
func (w *World) Find(b *Writer, of *Partition, from uint64, limit int, look bool, then func(run Run, exists bool)) {
	w.Extent(b, of, look, func(state journal.State, exists bool) {
		first, places, _ := b.core.Index().Places(messages.LogIDOf(of.ID), from, limit, 1<<20)
		run := Run{first: first, places: append([]uint64(nil), places...)}
		run.end = first+uint64(len(places)) > state.Last
		then(run, exists)
	})
}

// Collect reads the entries of a run from the journal as it is now, up to the first one that is not in its
// place any more, because it was moved for a purge.
func (w *World) Collect(of *Partition, run Run) (entries []messages.LoggedEntry) {
	for i, place := range run.places {
		sequence := run.first + uint64(i)
		if place < of.Journal.First || !of.Journal.Groups[place-1].has(of, sequence) {
			break
		}
		entries = append(entries, of.Log.Committed[sequence-1].Entry)
	}
	return entries
}

// has reports whether the group has an entry of a log. What is committed was compared with the log.
func (g *Stored) has(of *Partition, sequence uint64) bool {
	id := messages.LogIDOf(of.ID)
	for i := range g.Sections {
		if s := &g.Sections[i]; s.Log == id && s.Kind.HasEntry() && s.Sequence == sequence {
			return true
		}
	}
	return false
}

// ReadTo returns what a replicator gets that has read entries from a sequence on, up to the last one that
// it knew, and has then looked up the extent of the log.
func ReadTo(from uint64, entries []messages.LoggedEntry, end journal.State) replicator.LogRead {
	last := from - 1
	if n := len(entries); n > 0 {
		last = entries[n-1].Sequence
	}
	return replicator.LogRead{Entries: entries, AtEnd: end.Last <= last, Last: end.Last, Suspect: end.Suspect}
}
