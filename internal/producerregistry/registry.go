// Package producerregistry gives producers their identities: a new id to anybody who
// asks, and to a named producer the same id with the next epoch. Names are keys
// of a NATS key-value bucket.
//
// An id is a random number of 63 bits. Nothing has to be asked or kept for it, and
// two producers that a partition remembers at the same time never have the same
// one: of a million it would take 20 million tries to see one collision.
package producerregistry

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const bucket = "LANEWAY_PRODUCERS"

const (
	// lastEpoch is the highest epoch that a producer gets.
	lastEpoch = protocol.MaxProducerEpoch
	// maxTopics bounds the topics that a record remembers, maxInstances the instances.
	maxTopics    = 256
	maxInstances = 16
	// maxNames bounds the names that are kept, which is for ever.
	maxNames = 1_000_000
)

// Registry keeps the identities of named producers. It is safe for concurrent use.
type Registry struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
}

// Identity is what a producer is from now on.
type Identity struct {
	messages.ProducerFence
	// Seen are the ids of topics on which the producer was fenced before.
	Seen []uint64
}

// record is what the bucket keeps of a name.
type record struct {
	Name   string   `json:"name"`
	ID     int64    `json:"id,string"`
	Epoch  int16    `json:"epoch"`
	Topics []uint64 `json:"topics,omitempty"` // the most recent ones last
	// Instances are those that got the last epochs, and said who they are; the
	// newest is the last one.
	Instances []string `json:"instances,omitempty"`
}

// Open opens the registry, and makes its bucket if it is the first to. It tries
// for as long as ctx lives.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Registry, error) {
	kv, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return kvbucket.OpenBucket(ctx, js, bucket, "Laneway: named producers")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Registry{conn: conn, kv: kv}, nil
}

// New returns an id that nobody has.
func New() int64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		if id := int64(binary.BigEndian.Uint64(b[:]) >> 1); id != 0 {
			return id
		}
	}
}

// Next returns the identity of the next instance of a named producer, with an epoch
// of its own. An instance that says who it is gets the same one again until another
// instance gets one, and none after that.
func (r *Registry) Next(ctx context.Context, name, instance string) (Identity, error) {
	identity, err := kvbucket.Retry(ctx, func(ctx context.Context) (Identity, error) {
		return r.tryNext(ctx, name, instance)
	})
	return identity, known(err)
}

// Surpass gives an instance an epoch above one that a partition knows although no
// init gave it: a batch with it came where the producer was not known. The error is
// of code CodeInvalidEpoch if another instance has asked since.
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
	if rec.ID != mine.ProducerID || rec.Epoch != mine.ProducerEpoch {
		return Identity{}, backoff.Permanent(protocol.Errorf(protocol.CodeInvalidEpoch,
			"producer %q: a younger instance has asked since", mine.Name))
	}
	rec.Epoch = max(rec.Epoch, epoch)
	rec.advance()
	if err := r.put(ctx, rec, revision); err != nil {
		return Identity{}, err
	}
	return rec.identity(), nil
}

// Remember keeps the topics on whose partitions a producer has been fenced.
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
	if !slices.ContainsFunc(topics, func(id uint64) bool { return !slices.Contains(rec.Topics, id) }) {
		return nil
	}
	rec.remember(topics)
	return r.put(ctx, rec, revision)
}

// put writes a record. The error may be that another writer was first.
func (r *Registry) put(ctx context.Context, rec record, revision uint64) error {
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
	at := slices.Index(rec.Instances, instance)
	switch {
	case instance != "" && at >= 0 && at == len(rec.Instances)-1:
		return rec.identity(), nil // its answer was lost
	case instance != "" && at >= 0:
		return Identity{}, backoff.Permanent(protocol.Errorf(protocol.CodeInvalidEpoch,
			"producer %q: a younger instance than %q has asked since", name, instance))
	case rec.ID == 0:
		if err := r.hasRoom(ctx); err != nil {
			return Identity{}, err
		}
	}
	rec = rec.next(name, instance)
	if err := r.put(ctx, rec, revision); err != nil {
		return Identity{}, err
	}
	return rec.identity(), nil
}

// hasRoom says whether one name more may be kept, or why not.
func (r *Registry) hasRoom(ctx context.Context) error {
	status, err := r.kv.Status(ctx)
	if err == nil && status.Values() >= maxNames {
		err = backoff.Permanent(protocol.Errorf(protocol.CodeTooManyNames, "%d", status.Values()))
	}
	return err
}

func (r *record) identity() Identity {
	return Identity{
		ProducerFence: messages.ProducerFence{ProducerID: r.ID, ProducerEpoch: r.Epoch, Name: r.Name}, Seen: r.Topics,
	}
}

// next returns the record of the next instance. One that does not say who it is ends
// the time of those that do.
func (r record) next(name, instance string) record {
	r.Instances = append(slices.Clone(r.Instances), instance)
	r.Instances = r.Instances[max(0, len(r.Instances)-maxInstances):]
	if r.ID == 0 {
		r.Name, r.ID = name, New()
	} else {
		r.advance()
	}
	return r
}

// advance gives the next epoch, or another id if there is none.
func (r *record) advance() {
	if r.Epoch >= lastEpoch {
		r.ID, r.Epoch = New(), 0
	} else {
		r.Epoch++
	}
}

// remember adds topics; the least recent ones make room.
func (r *record) remember(topics []uint64) {
	all := slices.DeleteFunc(slices.Clone(r.Topics), func(id uint64) bool { return slices.Contains(topics, id) })
	all = append(all, topics...)
	r.Topics = all[max(0, len(all)-maxTopics):]
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

// get returns what the leader of the bucket has of a name; a zero record if nothing.
func (r *Registry) get(ctx context.Context, name string) (record, uint64, error) {
	entry, err := kvbucket.Get(ctx, r.conn, bucket, key(name))
	if err != nil {
		return record{}, 0, err
	}
	if !entry.Exists {
		return record{}, entry.Revision, nil
	}
	var found record
	err = json.Unmarshal(entry.Value, &found)
	if err == nil && (found.Name != name || found.ID <= 0 || found.Epoch < 0) {
		err = errors.New("it is of another producer, or of none")
	}
	if err != nil {
		return record{}, 0, backoff.Permanent(protocol.Errorf(protocol.CodeCorrupt,
			"record of producer %q in bucket %s: %v", name, bucket, err))
	}
	return found, entry.Revision, nil
}

// key returns the key of a name, which may have characters that a key may not.
func key(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }
