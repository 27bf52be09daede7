package supervisor

import (
	"slices"
	"sync"
)

// Logs has the actors of the logs, each of which runs all partitions of its log. It makes the
// actor of a log when its first partition comes, and keeps it. It is safe for concurrent use.
type Logs[L routine] struct {
	build func(log uint16) L

	mu   sync.Mutex
	byID map[uint16]L
}

// routine is an actor with a goroutine of its own, as Routine is one.
type routine interface {
	End(cause error)
	Await()
}

// NewLogs returns the set without actors. build makes and starts the actor of a log. It MUST NOT
// block.
func NewLogs[L routine](build func(log uint16) L) *Logs[L] {
	return &Logs[L]{build: build, byID: make(map[uint16]L)}
}

// Get returns the actor of a log.
func (l *Logs[L]) Get(log uint16) L {
	l.mu.Lock()
	defer l.mu.Unlock()
	actor, known := l.byID[log]
	if !known {
		actor = l.build(log)
		l.byID[log] = actor
	}
	return actor
}

// All returns the actors there are, by the numbers of their logs.
func (l *Logs[L]) All() []L {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := make([]uint16, 0, len(l.byID))
	for log := range l.byID {
		numbers = append(numbers, log)
	}
	slices.Sort(numbers)
	all := make([]L, len(numbers))
	for i, log := range numbers {
		all[i] = l.byID[log]
	}
	return all
}

// Stop ends all actors with ErrStopped, and returns when they have ended.
func (l *Logs[L]) Stop() {
	all := l.All()
	for _, actor := range all {
		actor.End(ErrStopped)
	}
	for _, actor := range all {
		actor.Await()
	}
}
