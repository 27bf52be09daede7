package core_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// input is what a core has taken in one step.
type input struct {
	at     time.Time
	events []core.Event
}

// resting drives a core that has beats every heartbeat only while it is not at rest. It belongs to one
// goroutine.
type resting struct {
	t        *rapid.T
	settings core.Settings
	now      time.Time
	core     *core.Core
	history  []input // since the core was created
	pending  []core.Event
	last     uint64 // entry of the log
	revision uint64 // of the mark
	ticket   uint64 // the last one
	archive  *messages.Archive
	archived int // jobs that were done
}

func newResting(t *rapid.T) *resting {
	w := newWorld(t)
	s := w.settings
	s.Owner, s.Epoch = "owner", 1
	s.ArchiveBytes, s.ArchiveAge = 1<<20, time.Minute
	s.ProducerExpiry = rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Minute, 10 * time.Minute}).Draw(t, "expiry")
	s.SnapshotEvery, s.PurgeEntries = 5, 3
	s.GiveUpTime = 20 * time.Second
	if rapid.Bool().Draw(t, "retention") {
		s.Retention.Age = 2 * time.Minute
	}
	if rapid.Bool().Draw(t, "short tail") {
		s.TailBatches = 6
	}
	r := &resting{t: t, settings: s, now: w.now, core: core.NewCore(orders, s), last: 1}
	r.step()
	r.rest()
	return r
}

// step steps the core, and notes the results of its effects for the next step.
func (r *resting) step(events ...core.Event) []string {
	r.history = append(r.history, input{r.now, events})
	fx := r.core.Step(r.now, events)
	r.answer(&fx)
	return kinds(&fx)
}

func (r *resting) answer(fx *core.Effects) {
	var results []core.Event
	switch {
	case fx.Load:
		end := messages.Position{Sequence: 1}
		results = append(results, core.Loaded{Mark: core.FoundMark{Exists: true, Mark: messages.Mark{Written: end, Reserved: end}}})
	case fx.Read != nil:
		created := messages.Entry{TopicID: orders.TopicID, Created: true, Time: r.now.UnixNano()}
		results = append(results, core.LogRead{Entries: []core.LoggedEntry{{Sequence: 1, Entry: created}}, AtEnd: true, Last: 1})
	case fx.Append != nil:
		r.last++
		results = append(results, core.Appended{Sequence: r.last})
	}
	if fx.Mark != nil {
		r.revision++
		results = append(results, core.MarkWritten{Mark: fx.Mark.Mark, Revision: r.revision})
	}
	if fx.Save != nil {
		results = append(results, core.Saved{Sequence: fx.Save.Sequence, Failed: r.chance("the save fails")})
	}
	if fx.Purge != nil && r.chance("the purge fails") {
		results = append(results, core.PurgeFailed{Reason: "a test"})
	} else if fx.Purge != nil {
		results = append(results, core.Purged{Below: fx.Purge.Below})
	}
	if fx.AskTime {
		results = append(results, core.LogTime{Last: r.now.UnixNano(), Created: r.now.Add(-time.Hour).UnixNano()})
	}
	for _, e := range fx.Send {
		switch m := e.Message.(type) {
		case messages.Hello:
			results = append(results, messages.Release{Partition: orders, SequencerEpoch: 1, Epoch: 1, HelloTerm: m.Term})
		case messages.Archive:
			r.archive = &m
		}
	}
	r.pending = append(r.pending, results...)
}

func (r *resting) chance(what string) bool { return rapid.IntRange(0, 3).Draw(r.t, what) == 0 }

// rest lets heartbeats pass until the core is at rest, and answers what it asks for. A log that is full
// never rests, so its jobs are done. Producers that expire soon keep it awake until then.
func (r *resting) rest() {
	for range 1000 {
		if len(r.pending) == 0 && r.core.AtRest() {
			return
		}
		if r.core.Stats().Full {
			r.finishJob()
		}
		r.now = r.now.Add(r.settings.Heartbeat)
		events := r.pending
		r.pending = nil
		r.step(events...)
	}
	r.t.Fatalf("the core never rests: %+v", r.core.Stats())
}

// act lets something happen.
func (r *resting) act() {
	switch rapid.IntRange(0, 9).Draw(r.t, "action") {
	case 0, 1, 2:
		r.ticket++
		b := batch(fmt.Sprint("lane", r.ticket%3), r.ticket)
		b.Extent.Length = 1 << rapid.IntRange(10, 20).Draw(r.t, "size")
		switch {
		case r.chance("named"):
			b.MessageID = fmt.Sprint("id", r.ticket)
		case r.chance("sequenced"):
			b.Sequence = messages.Sequence{ProducerID: int64(r.ticket)}
		}
		r.step(release(b))
	case 3, 4:
		r.finishJob()
	case 5:
		if r.archive != nil {
			r.step(messages.ArchiveFailed{Partition: orders, Base: r.archive.Base.Manifest, Reason: "a test"})
		}
	case 6:
		if r.archive != nil {
			r.step(messages.Archiving{Partition: orders, Base: r.archive.Base.Manifest})
		}
	case 7:
		r.step(core.Retention{Age: time.Duration(rapid.IntRange(0, 3).Draw(r.t, "age")) * time.Minute})
	case 8:
		r.step(messages.Truncate{Partition: orders, Asker: 1, Request: 1, Before: r.core.Stats().NextOffset})
	case 9:
		r.step(messages.ListProducers{Partition: orders, Asker: 1, Request: 1, Limit: 10}, core.ArchiverStarted{})
	}
}

// finishJob has the last job done.
func (r *resting) finishJob() {
	a := r.archive
	if a == nil {
		return
	}
	r.archive = nil
	r.archived++
	end := a.To
	if a.To.Sequence == 0 {
		end = a.Base.End
	}
	r.step(messages.Archived{
		Partition: orders, Base: a.Base.Manifest, Records: end.Offset - a.Base.End.Offset, Retain: a.Retain, Generation: messages.NoGeneration,
		History: messages.History{
			Manifest: fmt.Sprint("m", r.archived), Start: a.Base.Start, End: end, Size: 10, Bytes: 100, OldestBytes: 100, Oldest: r.now.UnixNano(),
		},
	})
}

// awake returns a copy of the core, which is made by what the core has taken.
func (r *resting) awake() *core.Core {
	c := core.NewCore(orders, r.settings)
	for _, in := range r.history {
		c.Step(in.at, in.events)
	}
	return c
}

// kinds returns what a step asks for, without what depends on the very time of the step: the times in it,
// and warnings, which say how long something has lasted.
func kinds(fx *core.Effects) []string {
	all := map[string]bool{}
	for _, e := range fx.Send {
		all[fmt.Sprintf("%s gets %T", e.Subject, e.Message)] = true
	}
	if fx.Append != nil {
		all["append"] = true
	}
	if fx.Mark != nil {
		all[fmt.Sprintf("mark %+v", fx.Mark.Mark)] = true
	}
	if fx.Save != nil {
		all[fmt.Sprintf("save %d", fx.Save.Sequence)] = true
	}
	if fx.Purge != nil {
		all[fmt.Sprintf("purge %d", fx.Purge.Below)] = true
	}
	if fx.AskTime {
		all["ask the time"] = true
	}
	if fx.Load || fx.Read != nil || fx.Scrub != nil || fx.Damage != "" || fx.Refusing != "" || fx.TakeEpoch != 0 {
		all["recover"] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// sleep lets a resting core and an awake one notice the time until something is due, or so many rests
// are over. The resting core MUST do the same then, at its next beat.
func (r *resting) sleep(rests int) {
	awake := r.awake()
	phase := rapid.IntRange(1, core.RestBeats).Draw(r.t, "phase")
	due := map[string]bool{}
	since, beats := 0, 0        // the first beat in which the awake one does something, and how many there are
	var remembered []core.Stats // by the awake one
	for i := range rests * core.RestBeats {
		r.now = r.now.Add(r.settings.Heartbeat)
		fx := awake.Step(r.now, nil)
		if len(due) == 0 {
			since = i
		}
		did := kinds(&fx)
		for _, kind := range did {
			due[kind] = true
		}
		if len(did) > 0 {
			beats++
		}
		if r.core.AtRest() && (i+1-phase)%core.RestBeats != 0 {
			continue
		}
		done := r.step()
		if len(done) == 0 && !r.core.AtRest() {
			continue // what is due follows in the next beat
		}
		// If one thing after the other gets due during a rest, the later one may take the place of the first.
		if want := slices.Sorted(maps.Keys(due)); !slices.Equal(done, want) && (beats < 2 || len(done) == 0) {
			r.t.Fatalf("at rest for %d beats, the core does %q; with every beat, it did %q since beat %d", i+1, done, want, since)
		}
		if len(done) > 0 {
			return
		}
		remembered = append(remembered, awake.Stats())
		if n := len(remembered); n > 2 {
			r.forgets(remembered[n-3])
		}
	}
}

// forgets checks that the core remembers no more than an awake one did two rests before. Two, because
// also an awake one looks only every few seconds for what has expired.
func (r *resting) forgets(before core.Stats) {
	if now := r.core.Stats(); now.IDs > before.IDs || now.Lanes > before.Lanes || now.Producers > before.Producers {
		r.t.Fatalf("at rest, the core remembers %+v; with every beat, it remembered %+v", now, before)
	}
}

func TestCoreAtRestDoesTheSameALittleLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newResting(t)
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			for range rapid.IntRange(0, 4).Draw(t, "actions") {
				r.act()
			}
			r.rest()
			r.sleep(rapid.IntRange(1, 30).Draw(t, "rests"))
		}
	})
}

func TestCoreDoesNotRestWhileSomethingIsToBeSent(t *testing.T) {
	w := newWorld(t)
	w.settings.ArchiveBytes, w.settings.TailBatches, w.settings.ArchiveAge = 1<<30, 8, time.Hour
	o := w.start("first")
	rests := func(want bool, when string) {
		t.Helper()
		if got := o.core.AtRest(); got != want {
			t.Fatalf("%s, the core is at rest: %v", when, got)
		}
	}
	idle := func() {
		w.pass(2 * time.Second)
		o.step()
	}
	rests(false, "while it reads the log")
	o.settle()
	idle()
	rests(false, "as long as Hello is not answered")
	term := o.core.Stats().Term
	o.step(messages.Release{Partition: orders, SequencerEpoch: 1, HelloTerm: term})
	rests(true, "once it leads an idle log")
	o.step(release(batch("a", 1)))
	rests(false, "during an append")
	o.settle()
	rests(false, "before the mark is exact")
	idle()
	rests(true, "once the mark is exact")
	list := messages.ListProducers{Partition: orders, Asker: 1, Request: 1, Limit: 1}
	o.step(list)
	rests(true, "once a question is answered")
	idle()
	list.Request++
	o.step(list, messages.ListProducers{Partition: orders, Asker: 1, Request: 7, Limit: 1})
	rests(false, "while a question waits")
	o.step()
	for n := uint64(2); n <= 8; n++ {
		o.commit(batch("a", n))
	}
	idle()
	rests(false, "while the log is full")

	w = newWorld(t)
	w.settings.ProducerExpiry = 24 * core.RestBeats * w.settings.Heartbeat / 2
	o = w.start("second")
	o.settle()
	o.step(messages.Release{Partition: orders, SequencerEpoch: 1, HelloTerm: o.core.Stats().Term})
	idle()
	rests(true, "without producers")
	sequenced := batch("a", 1)
	sequenced.Sequence.ProducerID = 1
	o.commit(sequenced)
	idle()
	rests(false, "while the clock of the producers would fall behind")
	o.step(core.Limits{ProducerExpiry: time.Hour, MaxProducers: 10})
	rests(true, "with producers that expire later")
	o.step(core.Stopping{})
	rests(false, "while it stops")
}
