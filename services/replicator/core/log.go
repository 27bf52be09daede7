package core

import (
	"time"

	"laneway.dev/internal/core/turns"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Added reports that the log has one more partition, with what follows from its topic.
type Added struct {
	Partition protocol.Partition
	Limits    Limits
	Codec     protocol.Compression
	Retention Retention
	Patience  time.Duration // see Settings
}

// Removed reports that a partition was deleted, that its log is continued in another stream, or that
// the service stops. Events that come for it later are dropped.
type Removed struct{ Partition protocol.Partition }

// For is an event for one partition: any but a message, which names its partition, and those for all
// partitions of a log, which are ArchiverStarted, EpochTaken, Generation and Stopping.
type For struct {
	Partition protocol.Partition
	Event     Event
}

// Turn is what became of a turn of a Log.
type Turn struct {
	Send []messages.Envelope // of all partitions
	// TakeEpoch is not 0 if partitions are fenced and need an epoch above this one. One attempt is
	// enough for all of them.
	TakeEpoch uint64
	// Turned are the partitions that took part, in the order in which the first event of each has come,
	// and then those for which only time has passed. The slice is valid until the next step.
	Turned []Turned
}

// Turned is what became of one partition in a turn.
type Turned struct {
	Partition protocol.Partition
	Effects   Effects // without Send and TakeEpoch, which are those of the turn
	Stats     Stats
}

// Log has the cores of the partitions of one log. It gives each event to the core that it is for, and
// merges what they send. A core takes part in a turn if an event for it has come. In addition it has a
// beat every Heartbeat, unless it is at rest: then it has one of restBeats. It belongs to one goroutine.
type Log struct {
	settings Settings // of new partitions, with the epoch that was taken last
	taking   uint64   // the epoch above which one is being taken; 0 if none is
	newest   uint64   // generation that is known
	stopping bool
	cores    *turns.Group[*Core, Event]
	turn     Turn
}

// NewLog returns a log without partitions. The settings are those that do not follow from a topic.
func NewLog(settings Settings) *Log {
	cores := turns.NewGroup[*Core, Event](settings.Heartbeat)
	cores.Rest(restBeats)
	return &Log{settings: settings, cores: cores}
}

// Step handles events in their order, and returns what became of them. The shell MUST call it at least
// once per Heartbeat, without events if there are none. Events for partitions that the log does not have
// are dropped.
func (l *Log) Step(now time.Time, events []Event) Turn {
	clear(l.turn.Turned)
	l.turn = Turn{Turned: l.turn.Turned[:0]}
	for _, e := range events {
		l.handle(e)
	}
	l.cores.Turn(now, func(m *turns.Member[*Core, Event], events []Event, _ bool) (rests bool) {
		return l.step(now, m, events)
	})
	if l.turn.TakeEpoch <= l.taking {
		l.turn.TakeEpoch = 0
	} else {
		l.taking = l.turn.TakeEpoch
	}
	return l.turn
}

func (l *Log) handle(e Event) {
	switch e := e.(type) {
	case messages.Message:
		l.cores.Call(e.Of(), e)
	case For:
		l.cores.Call(e.Partition, e.Event)
	case Added:
		l.add(e)
	case Removed:
		l.cores.Remove(e.Partition)
	case EpochTaken:
		l.settings.Epoch, l.taking = max(l.settings.Epoch, e.Epoch), 0
		l.callAll(e)
	case Generation:
		l.newest = max(l.newest, e.Newest)
		l.callAll(e)
	case Stopping:
		l.stopping = true
		l.callAll(e)
	case ArchiverStarted:
		l.callAll(e)
	}
}

// callAll gives an event to all partitions.
func (l *Log) callAll(e Event) {
	for _, m := range l.cores.All() {
		l.cores.Call(m.ID, e)
	}
}

// add adds a partition, which learns what the others have learnt.
func (l *Log) add(e Added) {
	settings := l.settings
	settings.Limits, settings.Codec, settings.Retention, settings.Patience = e.Limits, e.Codec, e.Retention, e.Patience
	l.cores.Add(e.Partition, NewCore(e.Partition, settings))
	if l.newest > 0 {
		l.cores.Call(e.Partition, Generation{l.newest})
	}
	if l.stopping {
		l.cores.Call(e.Partition, Stopping{})
	}
}

// step steps the core of a partition, and adds its effects to those of the turn. A partition that was
// removed has none: another owner may have its log, or it has none any more.
func (l *Log) step(now time.Time, m *turns.Member[*Core, Event], events []Event) (rests bool) {
	if m.Removed() {
		return true
	}
	fx := m.Core.Step(now, events)
	if len(l.turn.Send) == 0 {
		l.turn.Send = fx.Send // most often of only one partition
	} else {
		l.turn.Send = append(l.turn.Send, fx.Send...)
	}
	l.turn.TakeEpoch = max(l.turn.TakeEpoch, fx.TakeEpoch)
	fx.Send, fx.TakeEpoch = nil, 0
	l.turn.Turned = append(l.turn.Turned, Turned{m.ID, fx, m.Core.Stats()})
	return m.Core.atRest()
}

// Stats returns what happened so far on a partition.
func (l *Log) Stats(id protocol.Partition) Stats {
	if m := l.cores.Get(id); m != nil {
		return m.Core.Stats()
	}
	return Stats{}
}
