package world

import (
	"cmp"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// ReplicatorCore is the core of a replicator.
type ReplicatorCore struct {
	name string
	core *replicator.Core
	// marksAtOnce is set for a scheduler that leaves marks out: each mark counts as written when
	// the core asks for it.
	marksAtOnce bool

	// What the core was offered when it last started to read the log.
	offered  uint64 // entry of the newest snapshot
	replayed uint64 // entries that it had read before that
	led      bool
}

// NewReplicator returns the core of the replicator with the name. Its settings have its epoch.
func NewReplicator(name string, settings replicator.Settings, marksAtOnce bool) *ReplicatorCore {
	return &ReplicatorCore{name: name, core: replicator.NewCore(Partition, settings), marksAtOnce: marksAtOnce}
}

// Step implements Core.
func (r *ReplicatorCore) Step(now time.Time, events []Event) *Output {
	out := &Output{}
	taken := make([]replicator.Event, len(events))
	for i, e := range events {
		taken[i] = r.event(e, out)
	}
	fx := r.core.Step(now, taken)
	sent := fx.Send
	for r.marksAtOnce && fx.Mark != nil {
		next := r.core.Step(now, []replicator.Event{replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1}})
		next.Append, next.Read = cmp.Or(next.Append, fx.Append), cmp.Or(next.Read, fx.Read)
		sent = append(sent, next.Send...)
		fx = next
	}
	out.Send = sent
	out.Work = Work{
		Seen: out.Seen, TakeEpoch: fx.TakeEpoch, Ended: fx.Ended != nil, Damage: fx.Damage,
		Load: fx.Load, Append: fx.Append, Read: fx.Read, Mark: fx.Mark, Save: fx.Save, Scrub: fx.Scrub != nil, Purge: fx.Purge,
	}
	for _, e := range sent {
		r.said(e.Message, out)
	}
	if fx.Append != nil {
		out.Seen = append(out.Seen, check.Appending{Owner: r.name})
	}
	if fx.Load {
		out.Seen = append(out.Seen, check.Forgotten{Owner: r.name}) // another owner may have moved its mark
	}
	r.count(out)
	return out
}

// event returns what the core takes of an event.
func (r *ReplicatorCore) event(e Event, out *Output) replicator.Event {
	switch e := e.(type) {
	case *Message:
		m := e.Decode()
		if release, is := m.(messages.Release); is && r.core.Stats().Leading {
			for i := range release.Batches {
				b := &release.Batches[i]
				out.Seen = append(out.Seen, check.Released{
					Owner: r.name, SequencerEpoch: release.SequencerEpoch, Ticket: check.TicketOf(release.Epoch, b.Ticket), Floor: b.Floor,
				})
			}
		}
		return m
	case Reading:
		return e.logRead()
	case Nothing:
		r.offered, r.replayed, r.led = 0, r.core.Stats().Replayed, false
		return replicator.Loaded{}
	case replicator.Loaded:
		r.offered, r.replayed, r.led = 0, r.core.Stats().Replayed, false
		if len(e.Snapshots) > 0 {
			r.offered = e.Snapshots[0].Sequence
		}
	case replicator.Appended:
		out.Seen = append(out.Seen, check.AppendAcked{Owner: r.name})
	case replicator.AppendFailed:
		out.Seen = append(out.Seen, check.Forgotten{Owner: r.name})
	}
	return e
}

// said shows to the checks what the replicator sends.
func (r *ReplicatorCore) said(m messages.Message, out *Output) {
	switch m := m.(type) {
	case messages.Committed:
		out.Announced = append(out.Announced, m)
	case messages.Congested:
		out.Seen = append(out.Seen, check.Congested{Owner: r.name})
	case messages.Outcomes:
		for i := range m.Outcomes {
			out.Seen = append(out.Seen, check.Outcome{Owner: r.name, Ticket: check.TicketOf(m.Epoch, m.Outcomes[i].Ticket), Outcome: m.Outcomes[i]})
		}
	}
}

func (r *ReplicatorCore) count(out *Output) {
	stats := r.core.Stats()
	out.Stats = Stats{Open: stats.Lanes, Producers: stats.Producers, IDs: stats.IDs, Leading: stats.Leading}
	if stats.Leading && !r.led {
		r.led = true
		out.Seen = append(out.Seen, check.Leads{Owner: r.name, Snapshot: r.offered, Replayed: stats.Replayed - r.replayed, Term: stats.Term})
	}
}
