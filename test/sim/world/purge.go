package world

import (
	"slices"

	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
)

// leastGarbage is how many bytes of entries are not needed when a journal is purged. There are also half
// as many as are needed.
const leastGarbage = 300

// JournalPurge is a purge of a journal, with the steps of the shell in the order of the shell: Plan, Again,
// Plan and PurgeJournal. Anything may happen between two of them.
type JournalPurge struct {
	By    *Writer
	Below uint64

	bound  uint64
	idle   map[messages.LogID]uint64 // sequences of the last entries of logs, which are appended again
	places []uint64                  // of these entries, rising
}

// PurgeDue begins a purge if it is due.
func (b *Writer) PurgeDue() (due *JournalPurge) {
	x := b.core.Index()
	garbage, needed := x.Garbage()
	if b.purging || garbage < max(leastGarbage, needed/2) {
		return nil
	}
	b.purging = true
	x.Purged(garbage)
	return &JournalPurge{By: b, bound: x.Last()}
}

// Ended ends the purge.
func (u *JournalPurge) Ended() { u.By.purging = false }

// Plan notes what has to be done before groups can be removed.
func (u *JournalPurge) Plan() {
	x := u.By.core.Index()
	var again []messages.LogID
	u.Below, again = x.Purgeable(u.bound)
	u.idle, u.places = make(map[messages.LogID]uint64, len(again)), nil
	for _, id := range again {
		state, _ := x.State(id)
		_, place, _ := x.Places(id, state.Last, 1, 0)
		u.idle[id], u.places = state.Last, append(u.places, place...)
	}
	if len(u.places) > 0 {
		u.Below = min(u.Below, u.places[0])
	}
}

// Again has the last entries of idle logs appended again. then is called once all of that is answered, and
// MUST NOT use the writer before it returns.
func (w *World) Again(u *JournalPurge, then func()) {
	var again []messages.Section
	for _, place := range slices.Compact(u.places) {
		if place < u.By.Of.First {
			continue // another process has purged
		}
		for _, s := range u.By.Of.Groups[place-1].Sections {
			if sequence, is := u.idle[s.Log]; is && s.Kind.HasEntry() && s.Sequence == sequence {
				again = append(again, messages.Section{Log: s.Log, Kind: messages.SectionAgain, Sequence: s.Sequence, Entry: s.Entry})
			}
		}
	}
	left := len(again)
	if left == 0 {
		then()
	}
	for _, s := range again {
		w.AppendSection(u.By, s.Sequence, s, func(journal.Done) { // an error is that of a log that has moved on
			if left--; left == 0 {
				then()
			}
		})
	}
}
