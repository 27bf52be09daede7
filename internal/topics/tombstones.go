package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// deletedBucket has a tombstone for each topic that was deleted, until a sweep of the object
// store has noticed. Without one, a topic that is not there may as well be a topic that was lost:
// the logs may have been restored from an old copy.
const deletedBucket = "LANEWAY_DELETED"

// Tombstone is a topic that was deleted.
type Tombstone struct {
	ID   uint64 `json:"-"`
	Name string `json:"topic"`
	// Seen is the generation of the first sweep that has seen the tombstone; 0 if none has.
	Seen uint64 `json:"seen,omitempty"`
}

func (t Tombstone) key() string { return fmt.Sprintf("%016x", t.ID) }

// bury writes the tombstones of topics, before they are marked as deleted. A tombstone of a topic
// that exists means nothing.
func (r *Registry) bury(ctx context.Context, name string, ids []uint64) error {
	kv, err := kvbucket.OpenBucket(ctx, r.js, deletedBucket, "Laneway: deleted topics whose objects may still be in the store")
	if err != nil {
		return unavailable(err)
	}
	for _, id := range ids {
		t := Tombstone{ID: id, Name: name}
		found, err := kvbucket.Get(ctx, r.conn, deletedBucket, t.key())
		if err == nil && !found.Exists {
			err = t.write(ctx, kv, found.Revision)
		}
		if err != nil && !kvbucket.IsConflict(err) {
			return unavailable(err)
		}
	}
	return nil
}

func (t Tombstone) write(ctx context.Context, kv jetstream.KeyValue, revision uint64) error {
	value, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = kv.Update(ctx, t.key(), value, revision)
	return err
}

// tombstones returns all tombstones.
func tombstones(ctx context.Context, js jetstream.JetStream) ([]Tombstone, error) {
	records, _, err := kvbucket.Records(ctx, js, deletedBucket, "")
	if kvbucket.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	var all []Tombstone
	for _, found := range records {
		if !found.Exists && !found.Unreadable {
			continue
		}
		var t Tombstone
		id, err := strconv.ParseUint(found.Key, 16, 64)
		if err == nil && found.Unreadable {
			err = errors.New("JetStream cannot read it")
		}
		if err == nil {
			err = json.Unmarshal(found.Value, &t)
		}
		if err != nil {
			return nil, protocol.Errorf(protocol.CodeCorrupt, "tombstone %.40q in bucket %s: %v", found.Key, deletedBucket, err)
		}
		t.ID = id
		all = append(all, t)
	}
	return all, nil
}

// NoteSeen notes in tombstones that a sweep of a generation has seen them. It leaves out those that
// are gone, or that another sweep has seen.
func NoteSeen(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, ids []uint64, generation uint64) error {
	if len(ids) == 0 {
		return nil
	}
	kv, err := js.KeyValue(ctx, deletedBucket)
	if err != nil {
		return unavailable(err)
	}
	for _, id := range ids {
		t := Tombstone{ID: id}
		found, err := kvbucket.Get(ctx, conn, deletedBucket, t.key())
		if err == nil && found.Exists {
			err = json.Unmarshal(found.Value, &t)
		}
		if err == nil && found.Exists && t.Seen == 0 {
			t.ID, t.Seen = id, generation
			err = t.write(ctx, kv, found.Revision)
		}
		if err != nil && !kvbucket.IsConflict(err) {
			return unavailable(err)
		}
	}
	return nil
}

// Forget removes tombstones. It removes their keys altogether: the NATS client's own Delete leaves a
// message for each of them, and each topic has another id.
func Forget(ctx context.Context, js jetstream.JetStream, ids []uint64) error {
	if len(ids) == 0 {
		return nil
	}
	stream, err := js.Stream(ctx, "KV_"+deletedBucket)
	for i := 0; i < len(ids) && err == nil; i++ {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+deletedBucket+"."+Tombstone{ID: ids[i]}.key()))
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}
