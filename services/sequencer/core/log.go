package core

import (
	"time"

	"laneway.dev/internal/core/turns"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Added reports that the log has one more partition.
type Added struct{ Partition protocol.Partition }

// Removed reports that a partition was deleted, or that its log is continued in another stream.
type Removed struct{ Partition protocol.Partition }

// Log has the cores of the partitions of one log. It gives each event to the core that it is for,
// and merges the effects: in the order in which the first event of each partition has come, and
// then those of partitions for which only time has passed. It belongs to one goroutine.
type Log struct {
	epoch     uint64 // of this sequencer
	taking    uint64 // the epoch above which one is being taken; 0 if none is
	heartbeat time.Duration
	cores     *turns.Group[*Core, Event]
	stats     Stats
	fx        Effects
}

// NewLog returns a log without partitions, for a sequencer of this epoch.
func NewLog(epoch uint64, heartbeat time.Duration) *Log {
	return &Log{epoch: epoch, heartbeat: heartbeat, cores: turns.NewGroup[*Core, Event](heartbeat)}
}

// Step handles events in their order and returns the effects. The shell MUST call it at least once
// per heartbeat, without events if there are none. Messages for partitions that the log does not
// have are dropped.
func (l *Log) Step(now time.Time, events []Event) Effects {
	l.fx = Effects{}
	for _, e := range events {
		l.handle(e)
	}
	l.cores.Turn(now, func(m *turns.Member[*Core, Event], events []Event, beat bool) (idle bool) {
		return l.step(now, m, events, beat)
	})
	return l.fx
}

func (l *Log) handle(e Event) {
	switch e := e.(type) {
	case Added:
		l.cores.Add(e.Partition, NewCore(e.Partition, l.epoch, l.heartbeat))
	case Removed:
		l.cores.Remove(e.Partition)
	case EpochTaken:
		l.epoch, l.taking = max(l.epoch, e.Epoch), 0
		l.callAll(e)
	case HandOver:
		l.callAll(e)
	case messages.Message:
		l.cores.Call(e.Of(), e)
	}
}

func (l *Log) callAll(e Event) {
	for _, m := range l.cores.All() {
		l.cores.Call(m.ID, e)
	}
}

// step steps the core of a partition, and adds its effects to those of the log.
func (l *Log) step(now time.Time, m *turns.Member[*Core, Event], events []Event, beat bool) (idle bool) {
	before := m.Core.Stats()
	fx := m.Core.step(now, events, beat)
	after := m.Core.Stats()
	if m.Removed() {
		after.Lanes, after.Waiting = 0, 0
	}
	l.stats.add(after, before)
	l.fx.Send = append(l.fx.Send, fx.Send...)
	l.fx.Released = append(l.fx.Released, fx.Released...)
	if fx.TakeEpoch > l.taking { // one attempt is enough for all partitions
		l.taking, l.fx.TakeEpoch = fx.TakeEpoch, fx.TakeEpoch
	}
	return m.Core.idle()
}

// Stats returns the sums over all partitions. What has happened on a partition that was removed
// still counts.
func (l *Log) Stats() Stats { return l.stats }

// Add adds what another log has counted.
func (s *Stats) Add(other Stats) { s.add(other, Stats{}) }

// add adds what has been counted since an earlier reading of the same core.
func (s *Stats) add(now, before Stats) {
	s.Completions += now.Completions - before.Completions
	s.Early += now.Early - before.Early
	s.Released += now.Released - before.Released
	s.Repeated += now.Repeated - before.Repeated
	s.Outdated += now.Outdated - before.Outdated
	s.Dropped += now.Dropped - before.Dropped
	s.Lanes += now.Lanes - before.Lanes
	s.Waiting += now.Waiting - before.Waiting
}
