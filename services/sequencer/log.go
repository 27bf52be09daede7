package sequencer

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// log is the place of one log in this instance: which partitions it has, and the tenure of this
// instance if it owns the log. It is safe for concurrent use.
type log struct {
	number  uint16
	service *Service

	mu         sync.Mutex
	partitions map[protocol.Partition]bool
	tenure     *tenure    // nil if the instance does not own the log
	epoch      uint64     // the highest one in which the instance has owned it
	past       core.Stats // of the tenures that have ended
}

func (s *Service) newLog(number uint16) *log {
	return &log{number: number, service: s, partitions: make(map[protocol.Partition]bool)}
}

// add adds a partition.
func (l *log) add(p protocol.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partitions[p] = true
	if l.tenure != nil {
		l.tenure.put(context.Background(), core.Added{Partition: p})
	}
}

// remove removes a partition.
func (l *log) remove(p protocol.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.partitions, p)
	if l.tenure != nil {
		l.tenure.put(context.Background(), core.Removed{Partition: p})
	}
}

// own makes the instance serve the log, which the record of the role has as the n-th, in an epoch. An epoch is for one
// core: if the instance has owned the log in that epoch or a higher one before, it needs one above that,
// which own returns; else 0.
func (l *log) own(n int, epoch uint64) (above uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tenure; t != nil && !t.keep() {
		l.end()
	}
	switch {
	case epoch == l.epoch && l.tenure != nil:
		return 0, nil
	case epoch <= l.epoch:
		return l.epoch, nil
	case l.tenure != nil:
		l.epoch = epoch
		l.tenure.put(context.Background(), core.EpochTaken{Epoch: epoch})
		return 0, nil
	}
	l.epoch = epoch
	added := make([]core.Event, 0, len(l.partitions))
	for p := range l.partitions {
		added = append(added, core.Added{Partition: p})
	}
	t := l.begin(n, epoch, added)
	if err := t.subscribe(); err != nil {
		t.end()
		return 0, err
	}
	l.tenure = t
	l.service.config.Logger.Info("this sequencer owns a log", zap.Uint16("log", l.number), zap.Uint64("epoch", epoch))
	return 0, nil
}

// handOver makes the tenure pass on what it holds as soon as the next owner has begun. It MUST be called before the
// log is given away. Until then the tenure continues, so that nothing waits.
func (l *log) handOver() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == nil || len(l.partitions) == 0 { // the next owner may not know such a log
		return nil
	}
	return l.tenure.handOver()
}

// served reports whether the log is served.
func (l *log) served() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure != nil && len(l.partitions) > 0
}

// handsOver reports whether the tenure has not passed on yet what it holds.
func (l *log) handsOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure != nil && l.tenure.handsOver()
}

// disown ends the tenure, unless there is none, or a hand-over is under way.
func (l *log) disown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure != nil && !l.tenure.handsOver() {
		l.end()
	}
}

// close ends the tenure if there is one. Batches that it held are lost. Their frontends have them staged again, for the
// next owner.
func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure != nil {
		l.end()
	}
}

// end ends the tenure. The caller holds mu.
func (l *log) end() {
	l.tenure.end()
	l.past.Add(l.tenure.counted())
	l.tenure = nil
	l.service.config.Logger.Info("this sequencer owns a log no longer", zap.Uint16("log", l.number))
}

// stats returns what happened in all tenures.
func (l *log) stats() core.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.past
	if l.tenure != nil {
		sum.Add(l.tenure.stats())
	}
	return sum
}
