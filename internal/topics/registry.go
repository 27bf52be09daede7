// Package topics is the registry of topics: a NATS key-value bucket with one
// key per topic. Whoever creates or deletes a topic does it here; every service
// watches it.
package topics

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/replicated"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
)

const bucket = "LANEWAY_TOPICS"

// The stream behind the bucket, and what its subjects start with.
const (
	bucketStream  = "KV_" + bucket
	bucketSubject = "$KV." + bucket + "."
)

// Registry reads and changes the set of topics. It is safe for concurrent use.
type Registry struct {
	conn *nats.Conn
	js   jetstream.JetStream
	kv   jetstream.KeyValue

	changes sync.Mutex // held while a topic is created or deleted: both take several steps
}

// Change says that a topic is there (again), or is gone.
type Change struct {
	Topic    messages.Topic // only Name is set when the topic is gone
	Deleted  bool
	Revision uint64 // of the bucket
}

// Open opens the registry, and makes its bucket if it is the first to. It
// tries for as long as ctx lives: JetStream may have no leader for seconds.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Registry, error) {
	kv, err := replicated.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return replicated.OpenBucket(ctx, js, bucket, "Laneway: topics")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Registry{conn: conn, js: js, kv: kv}, nil
}

// Delete removes a topic and its logs. Its payloads stay in the object store.
func (r *Registry) Delete(ctx context.Context, name string) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	topic, err := r.Get(ctx, name)
	if err != nil {
		return err
	}
	if err := r.kv.Delete(ctx, name); err != nil {
		return unavailable(err)
	}
	if err := r.eachLog(topic, func(l *partitionlog.Log) error { return l.Delete(ctx) }); err != nil {
		return unavailable(err)
	}
	if err := snapshots.Delete(ctx, r.js, topic.ID); err != nil {
		return unavailable(err)
	}
	if err := marks.Delete(ctx, r.js, topic.ID); err != nil {
		return unavailable(err)
	}
	return nil
}

// Get returns a topic, or an error of code CodeUnknownTopic. It asks the leader
// of the bucket, as a replica may not know a topic yet: to make it again would
// delete its logs.
func (r *Registry) Get(ctx context.Context, name string) (messages.Topic, error) {
	return Lookup(ctx, r.conn, name)
}

// Lookup is Get without a registry: it does not make the bucket.
func Lookup(ctx context.Context, conn *nats.Conn, name string) (messages.Topic, error) {
	if !messages.ValidTopicName(name) {
		return messages.Topic{}, messages.Errorf(messages.CodeInvalidTopicName, "%.80q", name)
	}
	entry, err := replicated.Get(ctx, conn, bucket, name)
	switch {
	case err != nil:
		return messages.Topic{}, unavailable(err)
	case !entry.Exists:
		return messages.Topic{}, messages.NewError(messages.CodeUnknownTopic, name)
	}
	return decode(name, entry.Value)
}

// List returns all topics, in the order of their names. A topic whose record
// cannot be read is left out: Get says what is wrong with it.
func (r *Registry) List(ctx context.Context) ([]messages.Topic, error) {
	all, _, err := r.list(ctx)
	return all, err
}

// list returns all topics and the newest revision that it has seen.
func (r *Registry) list(ctx context.Context) (all []messages.Topic, newest uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = r.watch(ctx, func(c Change, err error) {
		newest = max(newest, c.Revision)
		if err == nil && !c.Deleted {
			all = append(all, c.Topic)
		}
	}, cancel)
	if err != nil {
		return nil, 0, unavailable(err)
	}
	slices.SortFunc(all, func(a, b messages.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return all, newest, nil
}

// Watch reports every topic that is there, calls ready, and goes on reporting
// changes, in order, until ctx ends. It reports from one goroutine, its
// caller's. A record that cannot be read is reported as an error and passed over.
func (r *Registry) Watch(ctx context.Context, report func(Change, error), ready func()) error {
	return r.watch(ctx, report, ready)
}

func (r *Registry) watch(ctx context.Context, report func(Change, error), ready func()) (err error) {
	watcher, err := r.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	defer func() {
		if stopErr := watcher.Stop(); stopErr != nil && ctx.Err() == nil {
			err = errors.Join(err, stopErr)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return fmt.Errorf("watch bucket %s: ended by the server", bucket)
			case entry == nil:
				ready()
				if ctx.Err() != nil {
					return nil
				}
			case entry.Operation() != jetstream.KeyValuePut:
				report(Change{Topic: named(entry.Key()), Deleted: true, Revision: entry.Revision()}, nil)
			default:
				topic, err := decode(entry.Key(), entry.Value())
				report(Change{Topic: topic, Revision: entry.Revision()}, err)
			}
		}
	}
}

func (r *Registry) eachLog(topic messages.Topic, do func(*partitionlog.Log) error) error {
	var wait sync.WaitGroup
	errs := make([]error, topic.Partitions)
	slots := make(chan struct{}, 8)
	for n := range topic.Partitions {
		slots <- struct{}{}
		wait.Go(func() {
			errs[n] = do(partitionlog.New(r.conn, r.js, topic.Partition(n)))
			<-slots
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// decode reads a record of the bucket. One that this code would not have written
// is refused: services would start as many actors as it has partitions.
func decode(key string, value []byte) (messages.Topic, error) {
	var topic messages.Topic
	err := json.Unmarshal(value, &topic)
	if err == nil {
		topic.TopicConfig, err = topic.Complete()
	}
	if err == nil && (topic.Name != key || topic.ID == 0) {
		err = errors.New("it is of another topic, or of none")
	}
	if err != nil {
		return messages.Topic{}, messages.Errorf(messages.CodeCorrupt, "record of topic %.80q in bucket %s: %v", key, bucket, err)
	}
	return topic, nil
}

func named(name string) messages.Topic {
	return messages.Topic{TopicConfig: messages.TopicConfig{Name: name}}
}

func unavailable(err error) error {
	return messages.NewError(messages.CodeUnavailable, err.Error())
}

// newID returns a topic id. It is never zero.
func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return binary.BigEndian.Uint64(b[:]) | 1
}
