package core_test

import (
	"slices"
	"strings"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
	"laneway.dev/services/replicator/core/partition"
)

// owner drives one core against the log of a world: it keeps what the core has
// under way until the test says what becomes of it.
type owner struct {
	w       *world
	name    string
	core    *core.Core
	append  *core.Append
	read    *core.Read
	sent    []messages.Message // since the last take
	commits []partition.Committed
	saving  bool       // saves are under way until finishSave
	loading bool       // loads are under way until finishLoad
	load    bool       // one is
	save    *core.Save // under way
	fenced  uint64     // not 0: it waits for an epoch above that

	scrub    *core.Scrub // the last one that was asked for
	purge    *core.Purge // the last one that was asked for
	refusing []string

	timeAsked bool // until answerTime

	marking  bool            // marks are under way until finishMark
	mark     *core.WriteMark // under way
	warnings []string
	gaps     []core.Gap
	damage   []string
	ended    bool // it has stopped cleanly
}

// start makes a new owner, which gets the snapshots there are. It asks for its
// first read, and gets no answer yet.
func (w *world) start(name string) *owner {
	settings := w.settings
	w.started++
	settings.Owner, settings.Epoch = name, w.started
	o := &owner{w: w, name: name, core: core.NewCore(orders, settings)}
	o.step()
	return o
}

// step hands events to the core and checks what holds forevery step.
func (o *owner) step(events ...core.Event) {
	t := o.w.t
	t.Helper()
	fx := o.core.Step(o.w.now, events)
	o.warnings = append(o.warnings, fx.Warnings...)
	if fx.Gap != nil {
		o.gaps = append(o.gaps, *fx.Gap)
	}
	if fx.Damage != "" {
		o.damage = append(o.damage, fx.Damage)
	}
	o.ended = o.ended || fx.Stopped
	silent := len(fx.Send) == 0 && len(fx.Committed) == 0 && fx.Append == nil && fx.Read == nil && !fx.Load && fx.Save == nil
	if (o.fenced != 0 || fx.TakeEpoch != 0) && !silent {
		t.Fatalf("%s is fenced and not silent: %+v", o.name, fx)
	}
	if fx.TakeEpoch != 0 {
		o.fenced = fx.TakeEpoch
	}
	if fx.Scrub != nil {
		o.scrub = fx.Scrub
	}
	if fx.Purge != nil {
		o.purge = fx.Purge
	}
	o.timeAsked = o.timeAsked || fx.AskTime
	if fx.Refusing != "" {
		o.refusing = append(o.refusing, fx.Refusing)
	}
	if fx.Append != nil {
		if o.append != nil || o.read != nil {
			t.Fatalf("%s appends while something else is under way", o.name)
		}
		o.append = fx.Append
	}
	if fx.Read != nil {
		if o.append != nil || o.read != nil {
			t.Fatalf("%s reads while something else is under way", o.name)
		}
		o.read = fx.Read
	}
	for _, e := range fx.Send {
		o.checkSubject(e)
		o.sent = append(o.sent, e.Message)
	}
	o.commits = append(o.commits, fx.Committed...)
	if fx.Save != nil {
		if o.save != nil {
			t.Fatalf("%s saves while another save is under way", o.name)
		}
		o.save = fx.Save
		if !o.saving {
			o.finishSave()
		}
	}
	if fx.Mark != nil {
		o.mark = fx.Mark
		if !o.marking {
			o.finishMark()
		}
	}
	if o.load = o.load || fx.Load; !o.loading {
		o.finishLoad()
	}
}

// finishLoad loads mark and snapshots, if that is under way.
func (o *owner) finishLoad() {
	o.w.t.Helper()
	if o.load {
		o.load, o.loading = false, false
		o.step(core.Loaded{Snapshots: o.w.stored(), Mark: o.w.found(), Trouble: o.w.trouble})
	}
}

// finishMark writes the mark that is under way.
func (o *owner) finishMark() {
	o.w.t.Helper()
	if o.mark == nil {
		o.w.t.Fatalf("%s writes no mark", o.name)
	}
	m := o.mark
	o.mark = nil
	if o.w.keepMark(m) {
		o.step(core.MarkWritten{Mark: m.Mark, Revision: o.w.mark.Revision})
	} else {
		o.step(core.MarkConflict{Mark: m.Mark, Found: o.w.mark})
	}
}

// finishSave stores the snapshot whose save is under way.
func (o *owner) finishSave() {
	o.w.t.Helper()
	if o.save == nil {
		o.w.t.Fatalf("%s has no save under way", o.name)
	}
	s := o.save
	o.save = nil
	o.w.keep(s)
	o.step(core.Saved{Sequence: s.Sequence})
}

// failSave ends the save under way without a snapshot.
func (o *owner) failSave() {
	o.w.t.Helper()
	if o.save == nil {
		o.w.t.Fatalf("%s has no save under way", o.name)
	}
	s := o.save
	o.save = nil
	o.step(core.Saved{Sequence: s.Sequence, Failed: true})
}

// finishPurge purges the log.
func (o *owner) finishPurge() {
	o.w.t.Helper()
	if o.purge == nil {
		o.w.t.Fatalf("%s has no purge under way", o.name)
	}
	p := o.purge
	o.purge = nil
	o.w.purge(p.Below)
	o.step(core.Purged{Below: p.Below})
}

func (o *owner) checkSubject(e messages.Envelope) {
	o.w.t.Helper()
	want := ""
	switch m := e.Message.(type) {
	case messages.Outcomes:
		want = messages.FrontendSubject(orders, m.Epoch)
	case messages.ProducerFenced:
		want = messages.AskerSubject(m.Asker)
	case messages.Producers:
		want = messages.AskerSubject(m.Asker)
	case messages.Truncated:
		want = messages.AskerSubject(m.Asker)
	case messages.Committed, messages.ReadOnly, messages.Congested:
		want = messages.CommittedSubject(orders)
	case messages.Archive:
		want = messages.ArchiveSubject
	case messages.Hello, messages.ReleaseAgain, messages.Outdated:
		want = messages.SequencerSubject(orders)
	case messages.Fenced:
		want = messages.SequencerSubject(orders)
		if strings.HasPrefix(e.Subject, strings.TrimSuffix(messages.FrontendSubject(orders, 0), "0")) {
			want = e.Subject // of an epoch that the message does not name
		}
	}
	if e.Subject != want || e.Message.Of() != orders {
		o.w.t.Fatalf("%T of %+v goes to %q, want %q", e.Message, e.Message.Of(), e.Subject, want)
	}
}

// takeAppend takes the append under way.
func (o *owner) takeAppend() *core.Append {
	o.w.t.Helper()
	if o.append == nil {
		o.w.t.Fatalf("%s has no append under way", o.name)
	}
	a := o.append
	o.append = nil
	return a
}

// ack lets the append reach the log and the log's answer reach the owner.
func (o *owner) ack() {
	o.w.t.Helper()
	if sequence, landed := o.w.land(o.takeAppend()); landed {
		o.step(core.Appended{Sequence: sequence})
	} else {
		o.step(core.AppendFailed{})
	}
}

// loseAck lets the append reach the log, but not the answer the owner.
func (o *owner) loseAck() {
	o.w.t.Helper()
	if _, landed := o.w.land(o.takeAppend()); !landed {
		o.w.t.Fatalf("the append of %s should have landed", o.name)
	}
	o.step(core.AppendFailed{})
}

// loseAppend drops the answer to an append; the append is still on its way.
func (o *owner) loseAppend() *core.Append {
	o.w.t.Helper()
	a := o.takeAppend()
	o.step(core.AppendFailed{})
	return a
}

// answerRead gives the owner what it reads.
func (o *owner) answerRead() {
	o.w.t.Helper()
	if o.read == nil {
		o.w.t.Fatalf("%s has no read under way", o.name)
	}
	r := o.read
	o.read = nil
	if o.w.streamEnd == 0 {
		o.w.pass(r.After)
	}
	first := 0
	for first < len(o.w.log) && o.w.log[first].Sequence < r.From {
		first++
	}
	last := min(first+r.Limit, len(o.w.log))
	o.step(core.LogRead{Entries: slices.Clone(o.w.log[first:last]), AtEnd: last == len(o.w.log), Last: o.w.streamEnd, Sealed: o.w.sealed, Suspect: o.w.suspect})
}

// settle answers all reads and appends until nothing is under way.
func (o *owner) settle() {
	o.w.t.Helper()
	for o.append != nil || o.read != nil {
		if o.append != nil {
			o.ack()
		} else {
			o.answerRead()
		}
	}
}

// commit hands releases over and settles them.
func (o *owner) commit(all ...messages.StagedBatch) {
	o.w.t.Helper()
	o.step(release(all...))
	o.settle()
}

// take returns what was sent since the last time.
func (o *owner) take() []messages.Message {
	sent := o.sent
	o.sent = nil
	return sent
}

// answer is what a frontend learns of a ticket.
type answer struct {
	id        ticket
	code      protocol.Code
	offset    int64
	duplicate bool
	detail    string
}

func ok(lane string, number uint64, offset int64) answer {
	return answer{id: ticket{1, lane, number}, offset: offset}
}

func duplicate(lane string, number uint64, offset int64) answer {
	return answer{id: ticket{1, lane, number}, offset: offset, duplicate: true}
}

func refused(lane string, number uint64, code protocol.Code) answer {
	return answer{id: ticket{1, lane, number}, code: code}
}

// answers returns what messages say of tickets, in order.
func answers(t failer, sent []messages.Message) []answer {
	t.Helper()
	var all []answer
	for _, m := range sent {
		switch m := m.(type) {
		case messages.Outcomes:
			for _, o := range m.Outcomes {
				all = append(all, answer{ticket{m.Epoch, o.Lane, o.Number}, o.Code, o.Offset, o.Duplicate, o.Detail})
			}
		case messages.Committed:
			entry, err := messages.DecodeEntry(m.Entry)
			if err != nil {
				t.Fatalf("an announced entry cannot be read: %v", err)
			}
			offset := entry.BaseOffset
			for _, p := range entry.Batches {
				all = append(all, answer{ticket{entry.Epoch, p.Lane, p.Number}, protocol.CodeOK, offset, false, ""})
				offset += int64(p.Records)
			}
		}
	}
	return all
}

// expect takes what was sent and checks the answers in it.
func (o *owner) expect(want ...answer) {
	o.w.t.Helper()
	if got := answers(o.w.t, o.take()); !slices.Equal(got, want) {
		o.w.t.Fatalf("%s answers %+v\nwant %+v", o.name, got, want)
	}
}

func (o *owner) expectStopped() {
	o.w.t.Helper()
	if o.fenced == 0 || len(o.take()) != 0 {
		o.w.t.Fatalf("%s should have stopped silently, fenced by %d", o.name, o.fenced)
	}
}

// sentOf takes what was sent and returns the messages of one type.
func sentOf[M messages.Message](o *owner) []M {
	var found []M
	for _, m := range o.take() {
		if m, is := m.(M); is {
			found = append(found, m)
		}
	}
	return found
}
