package sequencer

import (
	"context"

	"laneway.dev/internal/tenure"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// log is what a service knows of one log. It is safe for concurrent use.
type log struct {
	number  uint16
	service *Service
	place   *tenure.Place[*work]

	// Shared with the work on the log, as place.Do says.
	partitions map[protocol.Partition]bool
	past       core.Stats // of the work that has ended
}

func (s *Service) newLog(number uint16) *log {
	l := &log{number: number, service: s, partitions: make(map[protocol.Partition]bool)}
	l.place = s.tenures.Add(number, l.begin)
	return l
}

// add adds a partition.
func (l *log) add(p protocol.Partition) {
	l.place.Do(func(w *work, owned bool) {
		l.partitions[p] = true
		if owned {
			w.put(context.Background(), core.Added{Partition: p})
		}
	})
}

// remove removes a partition.
func (l *log) remove(p protocol.Partition) {
	l.place.Do(func(w *work, owned bool) {
		delete(l.partitions, p)
		if owned {
			w.put(context.Background(), core.Removed{Partition: p})
		}
	})
}

// served reports whether the log is served.
func (l *log) served() (is bool) {
	l.place.Do(func(_ *work, owned bool) { is = owned && len(l.partitions) > 0 })
	return is
}

// stats returns what has happened so far.
func (l *log) stats() (sum core.Stats) {
	l.place.Do(func(w *work, owned bool) {
		sum = l.past
		if owned {
			sum.Add(w.stats())
		}
	})
	return sum
}
