// Package supervisor runs the actors of a service. It watches the registry of topics, starts and
// ends the actor of each partition, and routes messages to it. The actor of a partition has a
// goroutine of its own ([Routine]), or is a part of the one that its log has ([Logs]).
package supervisor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Causes of the context of an actor that the set ends. Only a deletion is final. An owner
// that was replaced ends by itself.
var (
	ErrDeleted = errors.New("the topic was deleted")
	ErrRenewed = errors.New("the log of the partition is continued in another stream")
	ErrStopped = errors.New("the service stops")
)

// Actor runs one partition of one incarnation of a topic.
type Actor interface {
	// Start starts the actor. It MUST NOT wait for anything but room in a mailbox. It is called once.
	Start()
	// Receive passes a message to the actor. It may wait for room until ctx ends. The actor may
	// have ended.
	Receive(ctx context.Context, m messages.Message)
	// Configure passes the topic of the partition to the actor after the topic was updated. It
	// returns when the update is in force in the actor, or ctx ends. The actor may have ended.
	Configure(ctx context.Context, topic protocol.Topic)
	// End ends the actor for one of the causes above. It does not wait for the end. It is called once.
	End(cause error)
	// Await returns when the actor has ended and has released all of its resources. End was called.
	Await()
}

// Set is the actors of one service. It is safe for concurrent use.
type Set[A Actor] struct {
	log   *zap.Logger
	build func(protocol.Topic, protocol.Partition) A

	ctx    context.Context // ends when the set stops
	cancel context.CancelFunc
	wait   sync.WaitGroup // for the goroutine that follows the registry

	mu      sync.RWMutex
	byID    map[protocol.Partition]*running[A]
	changed chan struct{} // closed and replaced when an actor is added or configured

	topics map[string]protocol.Topic // owned by the goroutine that follows the registry

	unwatched atomic.Pointer[error] // why the registry has not been watched for some seconds; nil if it is
}

type running[A Actor] struct {
	actor    A
	revision uint64 // of the topic; guarded by mu
}

// Start starts watching the registry. It returns when every existing partition has a running
// actor, or ctx ends. build makes an actor; it MUST NOT block.
func Start[A Actor](ctx context.Context, registry *topics.Registry, log *zap.Logger, build func(protocol.Topic, protocol.Partition) A) (*Set[A], error) {
	s := &Set[A]{
		log: log, build: build, byID: make(map[protocol.Partition]*running[A]),
		changed: make(chan struct{}), topics: make(map[string]protocol.Topic),
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
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

// Pauses between attempts to watch the registry; each is twice the one before.
const (
	firstWatchPause   = 200 * time.Millisecond
	longestWatchPause = 5 * time.Second
)

// follow watches the registry until the set stops.
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

// Err returns why the registry could not be watched for some seconds; nil if it is watched.
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
		s.update(known, c.Topic)
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

// update restarts the partitions of a topic whose logs are continued in other streams, and
// configures the others if the topic was updated.
func (s *Set[A]) update(known, topic protocol.Topic) {
	s.topics[topic.Name] = topic
	for n := range topic.Partitions {
		before, now := known.Partition(n), topic.Partition(n)
		switch {
		case before != now:
			s.stop(ErrRenewed, before)
			s.start(topic, now)
		case known.Revision != topic.Revision:
			s.configure(topic, now)
		}
	}
}

func (s *Set[A]) configure(topic protocol.Topic, p protocol.Partition) {
	s.mu.RLock()
	r := s.byID[p]
	s.mu.RUnlock()
	r.actor.Configure(s.ctx, topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.revision = topic.Revision
	s.report()
}

// report wakes those who wait for an actor. The caller holds mu.
func (s *Set[A]) report() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Set[A]) start(topic protocol.Topic, p protocol.Partition) {
	r := &running[A]{actor: s.build(topic, p), revision: topic.Revision}
	r.actor.Start()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[p] = r
	s.report()
}

// stop ends actors for a cause and waits for them. It ends all of them first, so that one
// that ends slowly does not delay the others.
func (s *Set[A]) stop(cause error, all ...protocol.Partition) {
	var ended []*running[A]
	s.mu.Lock()
	for _, p := range all {
		if r := s.byID[p]; r != nil {
			delete(s.byID, p)
			ended = append(ended, r)
		}
	}
	s.mu.Unlock()
	for _, r := range ended {
		r.actor.End(cause)
	}
	for _, r := range ended {
		r.actor.Await()
	}
}

// Deliver passes a message to the actor of its partition. It drops a message about an unknown
// partition: its topic was deleted, or its creation has not arrived yet. In the second case
// the sender repeats the message.
func (s *Set[A]) Deliver(m messages.Message) {
	s.mu.RLock()
	r := s.byID[m.Of()]
	s.mu.RUnlock()
	if r != nil {
		r.actor.Receive(s.ctx, m)
	}
}

// Await returns the actor of a partition as soon as it runs and an update of its topic is in
// force in it: that with the given revision of the topic, or a later one.
func (s *Set[A]) Await(ctx context.Context, p protocol.Partition, revision uint64) (A, error) {
	for {
		s.mu.RLock()
		r, changed := s.byID[p], s.changed
		there := r != nil && r.revision >= revision
		s.mu.RUnlock()
		if there {
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

// Actors returns all running actors, in no particular order.
func (s *Set[A]) Actors() []A {
	s.mu.RLock()
	defer s.mu.RUnlock()
	actors := make([]A, 0, len(s.byID))
	for _, r := range s.byID {
		actors = append(actors, r.actor)
	}
	return actors
}

// Check calls check for the running actors, in random order, until one returns an error, and returns that. So
// who asks again and again is told of each partition that is not ready. check MUST NOT block.
func (s *Set[A]) Check(check func(A) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.byID {
		if err := check(r.actor); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all actors and waits for them.
func (s *Set[A]) Stop() {
	s.cancel()
	s.wait.Wait()
	s.mu.RLock()
	all := slices.Collect(maps.Keys(s.byID))
	s.mu.RUnlock()
	s.stop(ErrStopped, all...)
}
