package journal

import (
	"errors"
	"slices"

	"laneway.dev/pkg/messages"
)

// Limits bound a group. A section that is larger by itself has a group of its own.
type Limits struct {
	Sections int
	Bytes    int // of the entries of a group
	// LastOnly says that of each log only the last entry is needed.
	LastOnly bool
}

// The events of an Appender.
type (
	// Request asks for a section to be appended.
	Request struct {
		ID uint64 // of the request, chosen by the caller; different from those that wait
		// Expected is the sequence of the last entry of the log, for SectionNext and SectionAgain. The
		// Appender sets the sequence of the section, except for SectionTrimmed, and makes SectionAgain
		// SectionSuspect where it has to be. With SectionDeleted, Expected is the group with the first
		// entry of the log, so that no other log with the same id is deleted, or 0 for any.
		Expected uint64
		Section  messages.Section

		looked bool // the journal was read to its end, or is being read, since the request came
	}
	// Withdraw ends a request or a look, which is answered at once.
	Withdraw struct{ ID uint64 }
	// Look asks for the journal to be read up to its end, as its leader knows it, so that
	// everything that was durable before is known.
	Look struct{ ID uint64 } // among those of the requests
	// Appended reports that the group that was sent is durable, with its sequence.
	Appended struct{ Sequence uint64 }
	// AppendFailed reports that the append has failed. If Moved is false, its outcome is unknown, and
	// Err is why.
	AppendFailed struct {
		Moved bool
		Err   error
	}
	// ReadFailed reports that the journal could not be read so far. The read is still under way.
	ReadFailed struct{ Err error }
	// Groups are what was read of the journal, in the order of their sequences, up to the
	// sequence Through. Groups that are lost are left out. AtEnd reports that the journal ends
	// there, as the leader of its stream knows it. It begins at First then.
	Groups struct {
		Groups  []Placed
		Through uint64
		AtEnd   bool
		First   uint64
	}
)

// Event is an event of an Appender.
type Event any

// Placed is a group with its sequence in the journal.
type Placed struct {
	Sequence uint64
	Group    messages.Group
}

// Effects are what a step asks for. At most one append or one read is under way at any time.
type Effects struct {
	Append *Append
	Read   uint64 // the sequence from which the journal is to be read; 0 if it is not
	Done   []Done
}

// Append asks for a group to be appended, if Expected is the last sequence of the journal.
type Append struct {
	Expected uint64
	Group    messages.Group
}

// Done is the answer to a request or a look.
type Done struct {
	ID       uint64
	Sequence uint64 // of the entry in its log
	Group    uint64 // sequence of the group that has it
	Err      error
}

// Appender appends sections to a journal, with one append under way. What waits meanwhile goes
// into the next group. It never concludes anything from an append without an answer: it reads the
// journal up to its end, and sends the same group again if the end has not moved, so that at most
// one of the two is appended. It belongs to one goroutine.
type Appender struct {
	writer string
	limits Limits
	index  *Index
	groups uint64 // that this writer has made

	waiting []Request
	sent    []Request // in the group under way; empty if there is none
	group   messages.Group
	after   uint64 // the last sequence that the group expects

	reading   bool
	appending bool
	hasRead   bool     // since the last append was sent
	failure   error    // of the last append or read, for those who do not wait any longer
	looking   []uint64 // looks that a read answers that begins from now on
	covered   []uint64 // looks that the present read answers
	fx        Effects
}

// NewAppender returns an appender that knows nothing of the journal yet; see [Appender.Start]. writer
// MUST be different for each start of a process.
func NewAppender(writer string, limits Limits) *Appender {
	return &Appender{writer: writer, limits: limits, index: limits.newIndex()}
}

// Index returns what is known of the journal. It is valid until the next step, and after a group
// with [Groups.AtEnd] it is complete.
func (a *Appender) Index() *Index { return a.index }

// Start asks for the first read. It MUST be called once, before Step.
func (a *Appender) Start() Effects {
	a.fx = Effects{}
	a.begin()
	return a.fx
}

// Step handles events in their order, and returns the effects.
func (a *Appender) Step(events []Event) Effects {
	a.fx = Effects{}
	for _, e := range events {
		switch e := e.(type) {
		case Request:
			a.waiting = append(a.waiting, e)
		case Withdraw:
			a.withdraw(e.ID)
		case Look:
			a.looking = append(a.looking, e.ID)
		case Appended:
			a.appended(e.Sequence)
		case AppendFailed:
			a.appending = false
			if !e.Moved {
				a.failure = e.Err
			}
			a.begin()
		case ReadFailed:
			a.failure = e.Err
		case Groups:
			a.take(e)
		}
	}
	a.takeTurns()
	return a.fx
}

// takeTurns begins an append or a read, if none is under way. The two take turns: looks come without end while
// thousands of logs recover, and so do appends under load.
func (a *Appender) takeTurns() {
	if a.idle() && a.hasRead {
		a.send()
	}
	if a.idle() && len(a.looking) > 0 {
		a.begin()
	}
	if a.idle() {
		a.send()
	}
}

func (a *Appender) idle() bool { return !a.reading && !a.appending }

// begin begins to read what follows in the journal.
func (a *Appender) begin() {
	a.covered = append(a.covered, a.looking...)
	a.looking = nil
	for i := range a.waiting {
		a.waiting[i].looked = true
	}
	a.read()
}

// read reads from the last known group on, to see whether it is still the same.
func (a *Appender) read() {
	a.reading, a.hasRead = true, true
	a.fx.Read = max(a.index.Last(), 1)
}

// withdraw answers a request that its caller does not wait for any more. A section that is under
// way stays in its group, which may be in the journal.
func (a *Appender) withdraw(id uint64) {
	if i := slices.IndexFunc(a.waiting, func(r Request) bool { return r.ID == id }); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
		a.done(id, 0, 0, a.because(ErrWithdrawn))
		return
	}
	if i := slices.IndexFunc(a.sent, func(r Request) bool { return r.ID == id }); i >= 0 {
		a.sent[i].ID = 0
		a.done(id, 0, 0, a.because(ErrUnknown))
	}
	for _, looks := range []*[]uint64{&a.looking, &a.covered} {
		if i := slices.Index(*looks, id); i >= 0 {
			*looks = slices.Delete(*looks, i, i+1)
			a.done(id, 0, 0, a.because(ErrWithdrawn))
		}
	}
}

// because adds what has failed last to an error.
func (a *Appender) because(err error) error {
	if a.failure == nil {
		return err
	}
	return errors.Join(err, a.failure)
}

// appended takes in the group under way.
func (a *Appender) appended(sequence uint64) {
	a.appending, a.failure = false, nil
	if sequence != a.after+1 {
		a.begin() // the journal is not what it was; what it has decides
		return
	}
	a.index.Apply(sequence, a.group)
	a.confirm(sequence)
}

// confirm answers the requests of the group under way.
func (a *Appender) confirm(sequence uint64) {
	for i := range a.sent {
		a.done(a.sent[i].ID, a.group.Sections[i].Sequence, sequence, nil)
	}
	a.sent = nil
}

func (a *Appender) done(id, sequence, group uint64, err error) {
	if id != 0 { // else it was withdrawn
		a.fx.Done = append(a.fx.Done, Done{ID: id, Sequence: sequence, Group: group, Err: err})
	}
}

// take takes in what was read. At the end of the journal, a group under way that was not found is
// sent again. If other groups were found, it can never be appended as it is, because it expects
// another end of the journal: its requests are looked at again.
func (a *Appender) take(read Groups) {
	for i := range read.Groups {
		p := &read.Groups[i]
		if p.Sequence == a.index.Last() && a.index.isAnother(p.Group) {
			a.startOver()
			return
		}
		if p.Sequence <= a.index.Last() {
			continue
		}
		a.index.Apply(p.Sequence, p.Group)
		if len(a.sent) > 0 && p.Group.Writer == a.writer && p.Group.Number == a.group.Number {
			a.confirm(p.Sequence)
		}
	}
	if read.Through > a.index.Last() {
		a.index.Lost(read.Through)
	}
	switch {
	case !read.AtEnd:
		a.read()
		return
	case read.Through < a.index.Last():
		a.startOver()
		return
	}
	a.reading = false
	if len(a.sent) == 0 {
		a.failure = nil
	}
	a.index.Begins(read.First)
	for _, id := range a.covered {
		a.done(id, 0, 0, nil)
	}
	a.covered = nil
	if len(a.sent) > 0 && a.index.Last() != a.after {
		again := slices.DeleteFunc(a.sent, func(r Request) bool { return r.ID == 0 })
		for i := range again {
			again[i].looked = true
		}
		a.waiting, a.sent = append(again, a.waiting...), nil
	}
}

// startOver reads the whole journal again, because it has lost its end, and may have got another one.
func (a *Appender) startOver() {
	a.index = a.limits.newIndex()
	a.read()
}

// send sends the group under way again, or the next one if there is none.
func (a *Appender) send() {
	if len(a.sent) == 0 && !a.next() {
		return
	}
	a.appending, a.hasRead = true, false
	a.fx.Append = &Append{Expected: a.after, Group: a.group}
}

// next makes a group of what waits, and reports whether it has a section. A section that may not
// follow is refused only once the journal was read to its end.
func (a *Appender) next() bool {
	var sections []messages.Section
	size, taken := 0, 0
	changed := make(map[messages.LogID]*State) // the logs as this group leaves them; nil for a deleted one
	for _, r := range a.waiting {
		if len(sections) == a.limits.Sections || len(sections) > 0 && size+len(r.Section.Entry) > a.limits.Bytes {
			break
		}
		log, known := changed[r.Section.Log]
		if s, exists := a.index.State(r.Section.Log); exists && !known {
			log = &s
		}
		after, err := check(log, &r)
		if err != nil && !r.looked {
			break // another writer may have made it possible
		}
		taken++
		if err != nil {
			a.done(r.ID, 0, 0, err)
			continue
		}
		changed[r.Section.Log] = after
		size += len(r.Section.Entry)
		sections, a.sent = append(sections, r.Section), append(a.sent, r)
	}
	a.waiting = slices.Delete(a.waiting, 0, taken)
	if len(sections) == 0 {
		if len(a.waiting) > 0 {
			a.begin()
		}
		return false
	}
	a.groups++
	a.group, a.after = messages.Group{Writer: a.writer, Number: a.groups, Sections: sections}, a.index.Last()
	return true
}
