// Package supervisor keeps one actor per partition running for a service: it
// follows the registry of topics, starts and stops actors, and routes messages
// to them.
package supervisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// What ends an actor: the cause of its context. Only a deletion is for good. An owner
// that was replaced ends by itself.
var (
	ErrDeleted = errors.New("the topic was deleted")
	ErrRenewed = errors.New("the log of the partition is continued in another stream")
	ErrStopped = errors.New("the service stops")
)

// Actor runs one partition of one incarnation of a topic.
type Actor interface {
	// Receive hands over a message; it may wait for room in the mailbox until ctx ends.
	Receive(ctx context.Context, m messages.Message)
	// Run is the actor's goroutine. It returns when ctx ends, for one of the causes
	// above, with everything of the actor's released.
	Run(ctx context.Context)
}

// Set is the actors of one service. It is safe for concurrent use.
type Set[A Actor] struct {
	log   *zap.Logger
	build func(protocol.Topic, protocol.Partition) A

	ctx    context.Context // of all actors
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu      sync.RWMutex
	byID    map[protocol.Partition]*running[A]
	changed chan struct{} // closed and replaced when an actor is added

	topics map[string]protocol.Topic // owned by the goroutine that follows the registry

	unwatched atomic.Pointer[error] // why the registry has not been watched for some seconds; nil if it is
}

type running[A Actor] struct {
	actor A
	stop  context.CancelCauseFunc
	done  chan struct{}
}

// Start begins to follow the registry and returns when an actor runs for every
// partition that exists, or ctx ends. build makes an actor; it must not block.
func Start[A Actor](ctx context.Context, registry *topics.Registry, log *zap.Logger, build func(protocol.Topic, protocol.Partition) A) (*Set[A], error) {
	s := &Set[A]{
		log: log, build: build, byID: make(map[protocol.Partition]*running[A]),
		changed: make(chan struct{}), topics: make(map[string]protocol.Topic),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	var once sync.Once
	s.wait.Go(func() { s.follow(s.ctx, registry, func() { once.Do(func() { close(ready) }) }) })
	select {
	case <-ready:
		return s, nil
	case <-ctx.Done():
		s.Stop()
		return nil, ctx.Err()
	}
}

// Times between attempts to watch the registry, each twice the one before.
const (
	firstWatchPause   = 200 * time.Millisecond
	longestWatchPause = 5 * time.Second
)

// follow watches the registry for as long as the set lives.
func (s *Set[A]) follow(ctx context.Context, registry *topics.Registry, ready func()) {
	pause := firstWatchPause
	for ctx.Err() == nil {
		err := registry.Watch(ctx, s.change, func() {
			pause = firstWatchPause
			s.unwatched.Store(nil)
			ready()
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.Warn("the registry of topics cannot be watched; trying again", zap.Error(err))
		if pause >= longestWatchPause {
			s.unwatched.Store(&err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestWatchPause)
	}
}

// Err returns why changes of the registry have not been heard of for some seconds; nil if
// they are.
func (s *Set[A]) Err() error {
	err := s.unwatched.Load()
	if err == nil {
		return nil
	}
	return protocol.Errorf(protocol.CodeUnavailable, "the registry of topics cannot be watched; if NATS has lost its data, restore that: %v", *err)
}

// change applies one change of the registry.
func (s *Set[A]) change(c topics.Change, err error) {
	if err != nil {
		s.log.Error("a topic's record cannot be read; its partitions are not served", zap.Error(err))
		return
	}
	known, exists := s.topics[c.Topic.Name]
	if exists && !c.Deleted && known.ID == c.Topic.ID {
		s.renew(known, c.Topic)
		return
	}
	if exists {
		delete(s.topics, known.Name)
		all := make([]protocol.Partition, known.Partitions)
		for n := range all {
			all[n] = known.Partition(n)
		}
		s.stop(ErrDeleted, all...)
	}
	if !c.Deleted {
		s.topics[c.Topic.Name] = c.Topic
		for n := range c.Topic.Partitions {
			s.start(c.Topic, c.Topic.Partition(n))
		}
	}
}

// renew restarts the partitions of a topic whose logs are continued in other streams.
func (s *Set[A]) renew(known, topic protocol.Topic) {
	s.topics[topic.Name] = topic
	for n := range topic.Partitions {
		if before, now := known.Partition(n), topic.Partition(n); before != now {
			s.stop(ErrRenewed, before)
			s.start(topic, now)
		}
	}
}

func (s *Set[A]) start(topic protocol.Topic, p protocol.Partition) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	r := &running[A]{actor: s.build(topic, p), stop: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.byID[p] = r
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.wait.Go(func() {
		defer close(r.done)
		r.actor.Run(ctx)
	})
}

// stop ends actors for a cause and waits for them. All are told at once: one that takes
// long to end must not keep the others at work.
func (s *Set[A]) stop(cause error, all ...protocol.Partition) {
	var told []*running[A]
	s.mu.Lock()
	for _, p := range all {
		if r := s.byID[p]; r != nil {
			delete(s.byID, p)
			told = append(told, r)
		}
	}
	s.mu.Unlock()
	for _, r := range told {
		r.stop(cause)
	}
	for _, r := range told {
		<-r.done
	}
}

// Deliver hands a message to the actor of its partition. A message about a
// partition that this process does not know is dropped: it is of a topic that
// is gone, or whose creation has not been heard of yet, and will be repeated.
func (s *Set[A]) Deliver(m messages.Message) {
	s.mu.RLock()
	r := s.byID[m.Of()]
	s.mu.RUnlock()
	if r != nil {
		r.actor.Receive(s.ctx, m)
	}
}

// Await returns the actor of a partition as soon as it runs.
func (s *Set[A]) Await(ctx context.Context, p protocol.Partition) (A, error) {
	for {
		s.mu.RLock()
		r, changed := s.byID[p], s.changed
		s.mu.RUnlock()
		if r != nil {
			return r.actor, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			var none A
			return none, ctx.Err()
		}
	}
}

// Actors returns all actors that run, in no particular order.
func (s *Set[A]) Actors() []A {
	s.mu.RLock()
	defer s.mu.RUnlock()
	actors := make([]A, 0, len(s.byID))
	for _, r := range s.byID {
		actors = append(actors, r.actor)
	}
	return actors
}

// Stop ends all actors and waits for them.
func (s *Set[A]) Stop() {
	s.cancel(ErrStopped)
	s.wait.Wait()
}
