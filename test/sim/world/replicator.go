package world

import (
	"cmp"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// ReplicatorCore is the core of a replicator: a log with one partition.
type ReplicatorCore struct {
	name string
	core *replicator.Log
	// marksAtOnce is set for a scheduler that leaves marks out: each mark counts as written when
	// the core asks for it.
	marksAtOnce bool
	starts      *replicator.Added   // the partition, until the first step
	truncates   []messages.Truncate // of the present step

	// What the core was offered when it last started to read the log.
	offered  uint64 // entry of the newest snapshot
	replayed uint64 // entries that it had read before that
	led      bool
}

// NewReplicator returns the core of the replicator with the name. Its settings have its epoch.
func NewReplicator(name string, settings replicator.Settings, marksAtOnce bool) *ReplicatorCore {
	return &ReplicatorCore{
		name: name, core: replicator.NewLog(settings), marksAtOnce: marksAtOnce,
		starts: &replicator.Added{
			Partition: Partition, Limits: settings.Limits, Codec: settings.Codec, Retention: settings.Retention, Patience: settings.Patience,
		},
	}
}

// Step implements Core.
func (r *ReplicatorCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]replicator.Event, 0, len(events)+1)
	if r.starts != nil {
		if r.starts.Retention != (replicator.Retention{}) {
			r.retains(r.starts.Retention, out)
		}
		taken = append(taken, *r.starts)
	}
	r.starts, r.truncates = nil, r.truncates[:0]
	for _, e := range events {
		taken = append(taken, r.event(e, out))
	}
	turn := r.core.Step(now, taken)
	fx, sent := effects(&turn), turn.Send
	for r.marksAtOnce && fx.Mark != nil {
		turn = r.core.Step(now, []replicator.Event{replicator.For{
			Partition: Partition, Event: replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1},
		}})
		next := effects(&turn)
		next.Append, next.Read = cmp.Or(next.Append, fx.Append), cmp.Or(next.Read, fx.Read)
		sent = append(sent, turn.Send...)
		fx = next
	}
	out.Send = sent
	out.TakeEpoch, out.Ended, out.Damage = turn.TakeEpoch, turn.Ended != nil, fx.Damage
	out.Load, out.Append, out.Read, out.Mark, out.Save = fx.Load, fx.Append, fx.Read, fx.Mark, fx.Save
	out.Scrub, out.Purge, out.AskTime = fx.Scrub != nil, fx.Purge, fx.AskTime
	for _, e := range sent {
		r.said(now, e.Message, out)
	}
	if fx.Append != nil {
		out.Seen = append(out.Seen, check.Appending{Owner: r.name})
	}
	if fx.Load {
		out.Seen = append(out.Seen, check.Forgotten{Owner: r.name}) // another owner may have moved its mark
	}
	r.count(out)
}

// effects returns those of the partition. If it has taken no part in the turn, there are none.
func effects(turn *replicator.Turn) replicator.Effects {
	if len(turn.Turned) == 0 {
		return replicator.Effects{}
	}
	return turn.Turned[0].Effects
}

// event returns what the core takes of an event.
func (r *ReplicatorCore) event(e Event, out *Output) replicator.Event {
	taken := r.result(e, out)
	switch taken.(type) {
	case messages.Message, replicator.EpochTaken, replicator.Replaced, replicator.ArchiverStarted, replicator.Generation:
		return taken
	}
	return replicator.For{Partition: Partition, Event: taken}
}

// result returns what an event is for the partition, and shows it to the checks.
func (r *ReplicatorCore) result(e Event, out *Output) replicator.Event {
	switch e := e.(type) {
	case *Message:
		m := e.Decode()
		if r.stats().Leading {
			r.heard(m, out)
		}
		return m
	case Reading:
		return e.logRead()
	case Nothing:
		r.offered, r.replayed, r.led = 0, r.stats().Replayed, false
		return replicator.Loaded{}
	case replicator.Loaded:
		r.offered, r.replayed, r.led = 0, r.stats().Replayed, false
		if len(e.Snapshots) > 0 {
			r.offered = e.Snapshots[0].Sequence
		}
	case replicator.Retention:
		r.retains(e, out)
	case replicator.LogTime:
		out.Seen = append(out.Seen, check.Told{Owner: r.name, Last: e.Last, Created: e.Created})
	case replicator.Appended:
		out.Seen = append(out.Seen, check.AppendAcked{Owner: r.name})
	case replicator.AppendFailed:
		out.Seen = append(out.Seen, check.Forgotten{Owner: r.name})
	}
	return e
}

func (r *ReplicatorCore) stats() replicator.Stats { return r.core.Stats(Partition) }

// heard shows to the checks what an owner that leads receives.
func (r *ReplicatorCore) heard(m messages.Message, out *Output) {
	switch m := m.(type) {
	case messages.Release:
		out.Seen = append(out.Seen, check.Heard{Owner: r.name, SequencerEpoch: m.SequencerEpoch})
		for i := range m.Batches {
			b := &m.Batches[i]
			out.Seen = append(out.Seen, check.Released{
				Owner: r.name, SequencerEpoch: m.SequencerEpoch, Ticket: check.TicketOf(m.Epoch, b.Ticket), Floor: b.Floor,
			})
		}
	case messages.Archived:
		out.Seen = append(out.Seen, check.Resulted{Owner: r.name, Manifest: m.History.Manifest})
	case messages.Truncate:
		r.truncates = append(r.truncates, m)
		out.Seen = append(out.Seen, check.Truncating{Before: m.Before})
	}
}

// retains shows to the checks what the replicator keeps from now on.
func (r *ReplicatorCore) retains(keeps replicator.Retention, out *Output) {
	out.Seen = append(out.Seen, check.Retains{Owner: r.name, Age: keeps.Age, Bytes: keeps.Bytes})
}

// said shows to the checks what the replicator sends.
func (r *ReplicatorCore) said(now time.Time, m messages.Message, out *Output) {
	switch m := m.(type) {
	case messages.Archive:
		out.Seen = append(out.Seen, check.Requested{Owner: r.name, Clock: now.UnixNano()})
	case messages.Truncated:
		for _, asked := range r.truncates {
			if asked.Request == m.Request && asked.Epoch == m.Epoch && m.Code != protocol.CodeOK {
				out.Seen = append(out.Seen, check.Untruncated{Owner: r.name, Before: asked.Before})
			}
		}
	case messages.Committed:
		out.Announced = append(out.Announced, m)
	case messages.Outdated:
		out.Stats.Outdated += len(m.Results)
	case messages.Congested:
		out.Seen = append(out.Seen, check.Congested{Owner: r.name})
	case messages.Outcomes:
		for i := range m.Outcomes {
			out.Seen = append(out.Seen, check.Outcome{Owner: r.name, Ticket: check.TicketOf(m.Epoch, m.Outcomes[i].Ticket), Outcome: m.Outcomes[i]})
		}
	}
}

func (r *ReplicatorCore) count(out *Output) {
	stats := r.stats()
	out.Stats.Open, out.Stats.Producers, out.Stats.IDs, out.Stats.Leading = stats.Lanes, stats.Producers, stats.IDs, stats.Leading
	if stats.Leading && !r.led {
		r.led = true
		out.Seen = append(out.Seen, check.Leads{Owner: r.name, Snapshot: r.offered, Replayed: stats.Replayed - r.replayed, Term: stats.Term})
	}
}
