package core

import (
	"time"

	"laneway.dev/internal/core/turns"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Added reports that the log has one more partition.
type Added struct {
	Partition protocol.Partition
	Codec     protocol.Compression // of the topic; empty if its plain frames are not compressed
}

// Removed reports that no more requests come for a partition that has ended.
type Removed struct{ Partition protocol.Partition }

// Turned is what is known of a partition after a turn in which its core took part.
type Turned struct {
	Partition protocol.Partition
	Stats     Stats
}

// Log has the cores of the partitions of one log. It gives each event to the core that it is for,
// and merges the effects: in the order in which the first event of each partition has come, and
// then those of partitions for which only time has passed. It belongs to one goroutine.
type Log struct {
	times   Times
	epoch   uint64 // that new partitions get; 0 before one is taken
	taking  uint64 // the epoch above which one is being taken; 0 if none is
	inline  int64
	stagers *Stagers // that were reported last; nil before that
	cores   *turns.Group[*Core, Event]
	fx      Effects
}

// NewLog returns a log without partitions. With epoch 0 its partitions announce nothing, and issue
// no tickets, until EpochTaken.
func NewLog(epoch uint64, times Times) *Log {
	return &Log{times: times, epoch: epoch, cores: turns.NewGroup[*Core, Event](times.Heartbeat)}
}

// AllowInline allows stagers to return batches inline whose frames have at most so many bytes, also
// when they are not compressed. It may be called again between steps; with 0, none is allowed.
func (l *Log) AllowInline(most int64) { l.inline = most }

// Step handles events in their order and returns the effects. The shell MUST call it at least once
// per Heartbeat, without events if there are none. Messages for partitions that the log does not
// have are dropped.
func (l *Log) Step(now time.Time, events []Event) Effects {
	l.fx = Effects{}
	for _, e := range events {
		l.handle(e)
	}
	l.cores.Turn(now, func(m *turns.Member[*Core, Event], events []Event, beat bool) (idle bool) {
		return l.step(now, m, events, beat)
	})
	l.takeEpoch()
	return l.fx
}

func (l *Log) handle(event Event) {
	switch e := event.(type) {
	case Produce:
		if !l.cores.Call(e.Partition, event) {
			l.rejectUnknown(e)
		}
	case CommittedEntry:
		l.cores.Call(e.Partition, event)
	case messages.Message:
		l.cores.Call(e.Of(), event)
	case Codec:
		l.cores.Call(e.Partition, event)
	case Ending:
		// Requests that are not handled yet are rejected. With a ticket, their outcome would be unknown.
		l.cores.CallFirst(e.Partition, event)
	case Stagers:
		l.stagers = &e
	case EpochTaken:
		l.renew(e)
	case Added:
		l.cores.Add(e.Partition, NewCore(e.Partition, l.epoch, e.Codec, l.times))
	case Removed:
		l.cores.Remove(e.Partition)
	}
}

// renew gives an epoch to the partitions that need one: all of them if it is the first one, and
// those that are fenced below it. The others continue in theirs.
func (l *Log) renew(e EpochTaken) {
	l.epoch, l.taking = max(l.epoch, e.Epoch), 0
	for _, m := range l.cores.All() {
		if m.Core.epoch == 0 || m.Core.fencedBy != 0 && m.Core.fencedBy < e.Epoch {
			l.cores.Call(m.ID, e)
		}
	}
}

// rejectUnknown answers a request for a partition that was removed while it came.
func (l *Log) rejectUnknown(p Produce) {
	err := protocol.Errorf(protocol.CodeNotOwner, "partition %s is not served here any more", p.Partition)
	l.fx.Answers = append(l.fx.Answers, withoutTicket(p, err))
}

// step steps the core of a partition, and adds its effects to those of the log.
func (l *Log) step(now time.Time, m *turns.Member[*Core, Event], events []Event, beat bool) (idle bool) {
	c := m.Core
	if l.stagers != c.stagers {
		c.stagers = l.stagers
		c.setLive(*l.stagers)
	}
	c.inline.most = l.inline
	fx := c.step(now, events, beat)
	if len(l.fx.Send) == 0 && len(l.fx.Answers) == 0 {
		l.fx.Send, l.fx.Answers = fx.Send, fx.Answers // most often of only one partition
	} else {
		l.fx.Send = append(l.fx.Send, fx.Send...)
		l.fx.Answers = append(l.fx.Answers, fx.Answers...)
	}
	l.fx.Ready = append(l.fx.Ready, fx.Ready...)
	l.fx.TakeEpoch = max(l.fx.TakeEpoch, fx.TakeEpoch)
	l.fx.Turned = append(l.fx.Turned, Turned{m.ID, c.Stats()})
	return c.idle()
}

// takeEpoch leaves out a request for an epoch if one for the same, or a higher one, is under way:
// one attempt is enough for all partitions.
func (l *Log) takeEpoch() {
	if l.fx.TakeEpoch <= l.taking {
		l.fx.TakeEpoch = 0
		return
	}
	l.taking = l.fx.TakeEpoch
}

// Stats returns what happened so far on a partition.
func (l *Log) Stats(id protocol.Partition) Stats {
	if m := l.cores.Get(id); m != nil {
		return m.Core.Stats()
	}
	return Stats{}
}
