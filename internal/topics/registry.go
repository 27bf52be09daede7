// Package topics is the registry of topics: a NATS key-value bucket with one key per topic.
// Frontends and the command line create, update and delete topics in it, and every service
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
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
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

	// creations is held for reading while a topic is created, and for writing while one is marked as
	// deleted. Otherwise a deletion could miss logs that are still being created.
	creations sync.RWMutex
	// changes is held while a record is added or updated. Each one has to know those before it.
	changes sync.Mutex

	listing  sync.Mutex // guards what follows
	follower *kvbucket.Follower
	known    []protocol.Topic // those with readable records, sorted by name
}

// record is the value of a topic's key.
type record struct {
	protocol.Topic
	// Deleted is set while the topic is being deleted. Its logs may already be removed, and
	// another topic may take the name.
	Deleted bool `json:"deleted,omitempty"`
	// Former are the ids of deleted topics with this name that may still have logs. A log
	// whose topic id is in no record has lost its topic.
	Former []uint64 `json:"former,omitempty"`

	revision uint64
}

// Change reports that a topic exists, with its current record, or that it was deleted.
type Change struct {
	Topic    protocol.Topic // only Name is set if the topic was deleted
	Deleted  bool
	Revision uint64 // of the bucket
}

// Open opens the registry, and creates its bucket if that does not exist. It retries until
// ctx ends, because JetStream may have no leader for seconds.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Registry, error) {
	kv, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return kvbucket.OpenBucket(ctx, js, bucket, "Laneway: topics")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return newRegistry(conn, js, kv), nil
}

// newRegistry returns a registry. Without its bucket it only reads.
func newRegistry(conn *nats.Conn, js jetstream.JetStream, kv jetstream.KeyValue) *Registry {
	return &Registry{conn: conn, js: js, kv: kv, follower: kvbucket.NewFollower(bucket)}
}

// Get returns a topic, or an error with the code UNKNOWN_TOPIC. It asks the leader of the
// bucket, because a replica may lag and not have the topic yet.
func (r *Registry) Get(ctx context.Context, name string) (protocol.Topic, error) {
	return Lookup(ctx, r.conn, name)
}

// Lookup is Get without a registry: it does not create the bucket.
func Lookup(ctx context.Context, conn *nats.Conn, name string) (protocol.Topic, error) {
	found, err := find(ctx, conn, name)
	if err == nil && (found.revision == 0 || found.Deleted) {
		err = protocol.NewError(protocol.CodeUnknownTopic, name)
	}
	return found.Topic, err
}

// find returns the record of a topic, with revision 0 if there is none.
func find(ctx context.Context, conn *nats.Conn, name string) (record, error) {
	if !protocol.ValidTopicName(name) {
		return record{}, protocol.Errorf(protocol.CodeInvalidTopicName, "%.80q", name)
	}
	entry, err := kvbucket.Get(ctx, conn, bucket, name)
	switch {
	case err != nil:
		return record{}, unavailable(err)
	case !entry.Exists:
		return record{}, nil
	}
	found, err := decode(name, entry.Value)
	found.revision = entry.Revision
	return found, err
}

// Gone reports whether the topic of a partition is certainly deleted, according to the
// leader of the bucket: its name is free, or another topic has it. It returns false if the
// leader does not answer within some seconds.
func (r *Registry) Gone(ctx context.Context, p protocol.Partition) bool {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	topic, err := r.Get(ctx, p.Topic)
	if err != nil {
		return protocol.AsError(err).Code == protocol.CodeUnknownTopic
	}
	return topic.ID != p.TopicID
}

const goneTimeout = 2 * time.Second

// List returns all topics, sorted by name. It leaves out topics whose records cannot be read;
// Get returns the error for one.
func (r *Registry) List(ctx context.Context) ([]protocol.Topic, error) {
	all, _, err := r.list(ctx)
	return all, err
}

// list returns all topics, and the revision of the bucket at which there were these.
func (r *Registry) list(ctx context.Context) (all []protocol.Topic, revision uint64, err error) {
	revision, err = r.look(ctx, func(known []protocol.Topic) { all = slices.Clone(known) })
	return all, revision, err
}

// look passes all topics to a function, which MUST NOT keep or change them. It returns the revision of the
// bucket at which there were these topics.
func (r *Registry) look(ctx context.Context, at func(known []protocol.Topic)) (revision uint64, err error) {
	r.listing.Lock()
	defer r.listing.Unlock()
	changes, err := r.follower.Read(ctx, r.js)
	if err != nil {
		return 0, unavailable(err)
	}
	if changes.All {
		r.known = r.known[:0]
	}
	for _, found := range changes.Records {
		r.learn(found)
	}
	at(r.known)
	return changes.Revision, nil
}

// learn takes what a record says into the known topics.
func (r *Registry) learn(found kvbucket.Record) {
	at, known := slices.BinarySearchFunc(r.known, found.Key, func(t protocol.Topic, name string) int { return cmp.Compare(t.Name, name) })
	c, err := change(found)
	switch gone := err != nil || c.Deleted; {
	case gone && known:
		r.known = slices.Delete(r.known, at, at+1)
	case known:
		r.known[at] = c.Topic
	case !gone:
		r.known = slices.Insert(r.known, at, c.Topic)
	}
}

// Watch calls report for every existing topic, then ready, and then report for each change
// in order, until ctx ends. All calls are on the goroutine of the caller. A record that
// cannot be read is reported as an error.
func (r *Registry) Watch(ctx context.Context, report func(Change, error), ready func()) error {
	return r.watch(ctx, report, ready)
}

// watch watches for changes, and reads the existing records by itself. A watcher that also
// delivers the existing ones would wait forever for a record that cannot be read.
func (r *Registry) watch(ctx context.Context, report func(Change, error), ready func()) (err error) {
	watcher, err := r.kv.WatchAll(ctx, jetstream.UpdatesOnly())
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	defer func() {
		if stopErr := watcher.Stop(); stopErr != nil && ctx.Err() == nil {
			err = errors.Join(err, stopErr)
		}
	}()
	records, _, err := kvbucket.Records(ctx, r.js, bucket, "")
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", bucket, err)
	}
	seen := make(map[string]uint64, len(records))
	for _, found := range records {
		seen[found.Key] = found.Revision
		if c, err := change(found); err != nil || !c.Deleted {
			report(c, err)
		}
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.Updates():
			if !open && ctx.Err() != nil {
				return nil
			}
			if !open {
				return fmt.Errorf("watch bucket %s: ended by the server", bucket)
			}
			if entry == nil || entry.Revision() <= seen[entry.Key()] {
				continue // it was read, or is followed by what was
			}
			delete(seen, entry.Key())
			report(change(kvbucket.Record{Key: entry.Key(), Entry: kvbucket.Entry{
				Exists: entry.Operation() == jetstream.KeyValuePut, Value: entry.Value(), Revision: entry.Revision(),
			}}))
		}
	}
}

// change returns the Change for a record of the bucket.
func change(found kvbucket.Record) (Change, error) {
	c := Change{Topic: named(found.Key), Revision: found.Revision}
	if found.Unreadable {
		return c, protocol.Errorf(protocol.CodeCorrupt, "record of topic %.80q in bucket %s: JetStream cannot read it", found.Key, bucket)
	}
	if !found.Exists {
		c.Deleted = true
		return c, nil
	}
	decoded, err := decode(found.Key, found.Value)
	if err == nil && !decoded.Deleted {
		c.Topic = decoded.Topic
	}
	c.Deleted = decoded.Deleted
	return c, err
}

// atOnce calls do for all items, a few at the same time.
func atOnce[T any](items []T, do func(T) error) error {
	const most = 64
	var wait sync.WaitGroup
	errs := make([]error, len(items))
	slots := make(chan struct{}, most)
	for n := range items {
		slots <- struct{}{}
		wait.Go(func() {
			errs[n] = do(items[n])
			<-slots
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// decode decodes and checks a record of the bucket. The check matters: services start an
// actor for each partition of a record.
func decode(key string, value []byte) (record, error) {
	var found record
	err := json.Unmarshal(value, &found)
	if err == nil {
		found.TopicConfig, err = found.Complete()
	}
	if err == nil && (found.Name != key || found.ID == 0) {
		err = errors.New("it is of another topic, or of none")
	}
	if err != nil {
		return record{}, protocol.Errorf(protocol.CodeCorrupt, "record of topic %.80q in bucket %s: %v", key, bucket, err)
	}
	return found, nil
}

func named(name string) protocol.Topic {
	return protocol.Topic{TopicConfig: protocol.TopicConfig{Name: name}}
}

func unavailable(err error) error {
	if e, known := errors.AsType[*protocol.Error](err); known {
		return e
	}
	return protocol.NewError(protocol.CodeUnavailable, err.Error())
}

// newID returns a topic id. It is never zero.
func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return binary.BigEndian.Uint64(b[:]) | 1
}
