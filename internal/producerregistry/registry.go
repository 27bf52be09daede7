// Package producerregistry gives producers their identities: a new id for each request, and
// for a named producer the same id with the next epoch. Names are keys of a NATS key-value
// bucket.
//
// An id is a random number of 63 bits, so no state is needed for it. Among a million producers
// that a partition remembers, two have the same id with a probability of about 1 in 20
// million.
package producerregistry

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/core/producername"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const bucket = "LANEWAY_PRODUCERS"

// maxNames bounds the names. They are never removed.
const maxNames = 1_000_000

// Registry stores the identities of named producers. It is safe for concurrent use.
type Registry struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
}

// Identity is the identity of one instance of a producer.
type Identity struct {
	messages.ProducerFence
	// Seen are the ids of topics on which the producer was fenced before.
	Seen []uint64
}

// Open opens the registry, and creates its bucket if that does not exist. It retries until ctx
// ends.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Registry, error) {
	kv, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return kvbucket.OpenBucket(ctx, js, bucket, "Laneway: named producers")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Registry{conn: conn, kv: kv}, nil
}

// New returns an id that no other producer has.
func New() int64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		if id := int64(binary.BigEndian.Uint64(b[:]) >> 1); id != 0 {
			return id
		}
	}
}

// Next returns the identity of the next instance of a named producer, with a new epoch. An
// instance with a name gets the same epoch again when it asks again, until another instance
// gets one. After that it gets an error.
func (r *Registry) Next(ctx context.Context, name, instance string) (Identity, error) {
	identity, err := kvbucket.Retry(ctx, func(ctx context.Context) (Identity, error) {
		return r.tryNext(ctx, name, instance)
	})
	return identity, known(err)
}

// Surpass gives an instance an epoch above the one that a partition has. init never gave that
// epoch: it came with a batch to a partition that did not know the producer. The error has the
// code INVALID_EPOCH if another instance has asked in the meantime.
func (r *Registry) Surpass(ctx context.Context, mine Identity, epoch int16) (Identity, error) {
	identity, err := kvbucket.Retry(ctx, func(ctx context.Context) (Identity, error) {
		return r.trySurpass(ctx, mine, epoch)
	})
	return identity, known(err)
}

func (r *Registry) trySurpass(ctx context.Context, mine Identity, epoch int16) (Identity, error) {
	rec, revision, err := r.get(ctx, mine.Name)
	if err != nil {
		return Identity{}, err
	}
	next, refused := rec.Surpass(mine.ProducerFence, epoch, New())
	if refused != nil {
		return Identity{}, backoff.Permanent(refused)
	}
	if err := r.put(ctx, next, revision); err != nil {
		return Identity{}, err
	}
	return identity(next), nil
}

// Remember stores the topics on whose partitions a producer was fenced.
func (r *Registry) Remember(ctx context.Context, identity Identity, topics []uint64) error {
	_, err := kvbucket.Retry(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.tryRemember(ctx, identity.Name, topics)
	})
	return known(err)
}

func (r *Registry) tryRemember(ctx context.Context, name string, topics []uint64) error {
	rec, revision, err := r.get(ctx, name)
	if err != nil {
		return err
	}
	if rec.ID == 0 {
		return backoff.Permanent(protocol.Errorf(protocol.CodeUnavailable, "the record of producer %q is gone from bucket %s", name, bucket))
	}
	if next, changed := rec.Remember(topics); changed {
		return r.put(ctx, next, revision)
	}
	return nil
}

// put writes a record by compare-and-set. It fails if another writer was first.
func (r *Registry) put(ctx context.Context, rec producername.Record, revision uint64) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return backoff.Permanent(err)
	}
	_, err = r.kv.Update(ctx, key(rec.Name), data, revision)
	return err
}

// known returns an error as one of the catalogue.
func known(err error) error {
	if e, is := errors.AsType[*protocol.Error](err); is {
		return e
	}
	if err != nil {
		return protocol.NewError(protocol.CodeUnavailable, err.Error())
	}
	return nil
}

func (r *Registry) tryNext(ctx context.Context, name, instance string) (Identity, error) {
	rec, revision, err := r.get(ctx, name)
	if err != nil {
		return Identity{}, err
	}
	next, changed, refused := rec.Next(name, instance, New())
	switch {
	case refused != nil:
		return Identity{}, backoff.Permanent(refused)
	case !changed:
		return identity(rec), nil // its answer was lost
	case rec.ID == 0:
		if err := r.hasRoom(ctx); err != nil {
			return Identity{}, err
		}
	}
	if err := r.put(ctx, next, revision); err != nil {
		return Identity{}, err
	}
	return identity(next), nil
}

// hasRoom returns an error if the registry has no room for another name.
func (r *Registry) hasRoom(ctx context.Context) error {
	status, err := r.kv.Status(ctx)
	if err == nil && status.Values() >= maxNames {
		err = backoff.Permanent(protocol.Errorf(protocol.CodeTooManyNames, "%d", status.Values()))
	}
	return err
}

func identity(r producername.Record) Identity {
	return Identity{ProducerFence: r.Fence(), Seen: r.Topics}
}

// Find returns the id of a named producer, or an error of code CodeUnknownName.
func (r *Registry) Find(ctx context.Context, name string) (int64, error) {
	found, _, err := r.get(ctx, name)
	switch {
	case err != nil:
		return 0, known(err)
	case found.ID == 0:
		return 0, protocol.Errorf(protocol.CodeUnknownName, "%q", name)
	}
	return found.ID, nil
}

// get returns the record of a name from the leader of the bucket; zero if there is none.
func (r *Registry) get(ctx context.Context, name string) (producername.Record, uint64, error) {
	entry, err := kvbucket.Get(ctx, r.conn, bucket, key(name))
	if err != nil {
		return producername.Record{}, 0, err
	}
	if !entry.Exists {
		return producername.Record{}, entry.Revision, nil
	}
	var found producername.Record
	err = json.Unmarshal(entry.Value, &found)
	if err == nil && (found.Name != name || found.ID <= 0 || found.Epoch < 0) {
		err = errors.New("it is of another producer, or of none")
	}
	if err != nil {
		return producername.Record{}, 0, backoff.Permanent(protocol.Errorf(protocol.CodeCorrupt,
			"record of producer %q in bucket %s: %v", name, bucket, err))
	}
	return found, entry.Revision, nil
}

// key returns the key of a name, encoded, since a name may have characters that a key cannot
// have.
func key(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }
