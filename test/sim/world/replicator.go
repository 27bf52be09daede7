package world

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// ReplicatorCore is the core of a replicator.
type ReplicatorCore struct {
	name   string
	actors actors[*replicator.Log, replicator.Event]
	// marksAtOnce is set for a scheduler that leaves marks out: each mark counts as written when
	// the core asks for it.
	marksAtOnce bool
	exist       []int               // partitions that exist when it starts; nil once it has them
	added       replicator.Added    // a partition, without its name
	truncates   []messages.Truncate // of the present step
	logs        [MostPartitions]replicatorLog
}

// replicatorLog is what is seen of one partition.
type replicatorLog struct {
	stats replicator.Stats

	// What the core was offered when it last started to read the log.
	offered  uint64 // entry of the newest snapshot
	replayed uint64 // entries that it had read before that
	led      bool
}

// NewReplicator returns the core of the replicator with the name. Its settings have its epoch.
func NewReplicator(name string, settings replicator.Settings, marksAtOnce bool, ids IDs) *ReplicatorCore {
	return &ReplicatorCore{
		name: name, marksAtOnce: marksAtOnce,
		actors: newActors[*replicator.Log, replicator.Event](ids, func() *replicator.Log { return replicator.NewLog(settings) }),
		exist:  ids.Exist, added: replicator.Added{Limits: settings.Limits, Codec: settings.Codec, Retention: settings.Retention, Patience: settings.Patience},
	}
}

// Step implements Core.
func (r *ReplicatorCore) Step(now time.Time, events []Event, out *Output) {
	for _, of := range r.exist {
		r.add(of, out)
	}
	r.exist, r.truncates = nil, r.truncates[:0]
	for _, e := range events {
		r.event(e, out)
	}
	out.TakeEpoch = r.actors.turn(len(events) == 0, func(core *replicator.Log, events []replicator.Event) uint64 {
		return r.step(now, core, events, out)
	})
	for _, e := range out.Send {
		r.said(now, e.Message, out)
	}
	for i := range out.Logs {
		switch fx := &out.Logs[i]; {
		case fx.Append != nil:
			out.See(fx.Of, check.Appending{Owner: r.name})
		case fx.Load:
			out.See(fx.Of, check.Forgotten{Owner: r.name}) // another owner may have moved its mark
		}
	}
	r.leads(out)
}

// add adds a partition.
func (r *ReplicatorCore) add(of int, out *Output) {
	added := r.added
	added.Partition = r.actors.partitions[of]
	if keeps := added.Retention; keeps != (replicator.Retention{}) && !r.actors.has[of] {
		r.retains(of, keeps, out)
	}
	r.actors.add(of, added)
}

// step lets the actor of a log take a turn.
func (r *ReplicatorCore) step(now time.Time, core *replicator.Log, events []replicator.Event, out *Output) (takeEpoch uint64) {
	for {
		turn := core.Step(now, events)
		out.Send = append(out.Send, turn.Send...)
		takeEpoch = max(takeEpoch, turn.TakeEpoch)
		if events = r.work(&turn, out); len(events) == 0 {
			return takeEpoch
		}
	}
}

// work adds what the partitions want to have done, and keeps what is counted of them. If marks are
// written at once, it returns what the core gets for that.
func (r *ReplicatorCore) work(turn *replicator.Turn, out *Output) (written []replicator.Event) {
	for i := range turn.Turned {
		t := &turn.Turned[i]
		fx, of := &t.Effects, r.index(t.Partition)
		r.logs[of].stats = t.Stats
		w := LogWork{
			Of: of, Load: fx.Load, Append: fx.Append, Read: fx.Read, Mark: fx.Mark, Save: fx.Save,
			Scrub: fx.Scrub != nil, Purge: fx.Purge, AskTime: fx.AskTime, Damage: fx.Damage, Unbegun: t.Stats.Unbegun,
		}
		if r.marksAtOnce && fx.Mark != nil {
			w.Mark = nil
			written = append(written, replicator.For{
				Partition: t.Partition, Event: replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1},
			})
		}
		out.Logs = append(out.Logs, w)
	}
	return written
}

// event gives an event to the actors that it is for.
func (r *ReplicatorCore) event(e Event, out *Output) {
	switch e := e.(type) {
	case *Message:
		e.Each(func(m messages.Message) {
			of := r.index(m.Of())
			if r.logs[of].stats.Leading {
				r.heard(of, m, out)
			}
			r.actors.give(of, m)
		})
	case For:
		r.actors.give(e.Of, replicator.For{Partition: r.actors.partitions[e.Of], Event: r.result(e.Of, e.Event, out)})
	case replicator.EpochTaken:
		r.actors.giveAsking(e.Epoch, e)
	case Added:
		r.add(e.Of, out)
	case Removed:
		r.actors.give(e.Of, replicator.Removed{Partition: r.actors.partitions[e.Of]})
		r.logs[e.Of] = replicatorLog{}
	default:
		r.actors.giveAll(e)
	}
}

func (r *ReplicatorCore) index(id protocol.Partition) int { return r.actors.index(id) }

// result returns what an event is for a partition, and shows it to the checks.
func (r *ReplicatorCore) result(of int, e Event, out *Output) replicator.Event {
	log := &r.logs[of]
	switch e := e.(type) {
	case Reading:
		return e.logRead()
	case Nothing:
		log.offered, log.replayed, log.led = 0, log.stats.Replayed, false
		return replicator.Loaded{}
	case replicator.Loaded:
		log.offered, log.replayed, log.led = 0, log.stats.Replayed, false
		if len(e.Snapshots) > 0 {
			log.offered = e.Snapshots[0].Sequence
		}
	case replicator.Retention:
		r.retains(of, e, out)
	case replicator.LogTime:
		out.See(of, check.Told{Owner: r.name, Last: e.Last, Created: e.Created})
	case replicator.Appended:
		out.See(of, check.AppendAcked{Owner: r.name})
	case replicator.AppendFailed:
		out.See(of, check.Forgotten{Owner: r.name})
	}
	return e
}

// heard shows to the checks what an owner that leads receives.
func (r *ReplicatorCore) heard(of int, m messages.Message, out *Output) {
	switch m := m.(type) {
	case messages.Release:
		out.See(of, check.Heard{Owner: r.name, SequencerEpoch: m.SequencerEpoch})
		for i := range m.Batches {
			b := &m.Batches[i]
			out.See(of, check.Released{
				Owner: r.name, SequencerEpoch: m.SequencerEpoch, Ticket: check.TicketOf(m.Epoch, b.Ticket), Floor: b.Floor,
			})
		}
	case messages.Archived:
		out.See(of, check.Resulted{Owner: r.name, Manifest: m.History.Manifest})
	case messages.Truncate:
		r.truncates = append(r.truncates, m)
		out.See(of, check.Truncating{Before: m.Before})
	}
}

// retains shows to the checks what the replicator keeps from now on.
func (r *ReplicatorCore) retains(of int, keeps replicator.Retention, out *Output) {
	out.See(of, check.Retains{Owner: r.name, Age: keeps.Age, Bytes: keeps.Bytes})
}

// said shows to the checks what the replicator sends.
func (r *ReplicatorCore) said(now time.Time, m messages.Message, out *Output) {
	of := r.index(m.Of())
	switch m := m.(type) {
	case messages.Archive:
		out.See(of, check.Requested{Owner: r.name, Clock: now.UnixNano()})
	case messages.Truncated:
		for _, asked := range r.truncates {
			if asked.Request == m.Request && asked.Asker == m.Asker && m.Code != protocol.CodeOK {
				out.See(of, check.Untruncated{Owner: r.name, Before: asked.Before})
			}
		}
	case messages.Committed:
		out.Announced = append(out.Announced, m)
	case messages.Outdated:
		out.Stats.Outdated += len(m.Results)
	case messages.Congested:
		out.See(of, check.Congested{Owner: r.name})
	case messages.Outcomes:
		for i := range m.Outcomes {
			out.See(of, check.Outcome{Owner: r.name, Ticket: check.TicketOf(m.Epoch, m.Outcomes[i].Ticket), Outcome: m.Outcomes[i]})
		}
	}
}

// leads shows to the checks which logs the replicator leads for the first time since it has read them.
func (r *ReplicatorCore) leads(out *Output) {
	for of := range r.actors.partitions {
		log := &r.logs[of]
		stats := &log.stats
		out.Stats.Of[of] = PartitionStats{Open: stats.Lanes, Producers: stats.Producers, IDs: stats.IDs, Leading: stats.Leading}
		out.Stats.Open += stats.Lanes
		if stats.Leading && !log.led {
			log.led = true
			out.See(of, check.Leads{Owner: r.name, Snapshot: log.offered, Replayed: stats.Replayed - log.replayed, Term: stats.Term})
		}
	}
}
