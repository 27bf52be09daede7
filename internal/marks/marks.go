// Package marks keeps the mark of each partition, which bounds how far the partition's
// log may have come: a key-value bucket with one key per incarnation of a log.
//
// JetStream restores a damaged log shorter than it was, and says nothing. The marks
// stand in a stream of their own, so that one damaged file does not take a log and the
// evidence of its length at once.
package marks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const bucket = "LANEWAY_MARKS"

// ErrMoved says that the mark is not the expected one: another owner has written it.
var ErrMoved = errors.New("the mark has moved on")

// Store keeps the marks of all partitions. It is safe for concurrent use.
type Store struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
}

// Open opens the store, and makes its bucket if it is the first to. It tries for as
// long as ctx lives.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Store, error) {
	kv, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return kvbucket.OpenBucket(ctx, js, bucket, "Laneway: how far the logs may have come")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Store{conn: conn, kv: kv}, nil
}

// Existing opens the store, but makes nothing: without a bucket it returns nil.
func Existing(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Store, error) {
	kv, err := js.KeyValue(ctx, bucket)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Store{conn: conn, kv: kv}, nil
}

// Stored is a mark as the bucket has it. Without a mark, Exists is false; Revision is
// then to be expected by the first Put all the same.
type Stored struct {
	Mark     messages.Mark
	Revision uint64
	Exists   bool
}

// Get returns the mark of a partition. It asks the leader of the bucket. A value that is
// no mark counts as none; that JetStream cannot read the key is an error of code
// CodeCorrupt.
func (s *Store) Get(ctx context.Context, p protocol.Partition) (Stored, error) {
	entry, err := kvbucket.Get(ctx, s.conn, bucket, key(p))
	if err != nil {
		return Stored{}, err
	}
	stored := Stored{Revision: entry.Revision}
	if entry.Exists {
		stored.Exists = json.Unmarshal(entry.Value, &stored.Mark) == nil
	}
	return stored, nil
}

// ByRepair is the owner in the mark of a log that a repair has continued, until an owner of
// the log writes it.
const ByRepair = "repair"

// Later returns the marks of the incarnations of a log after that of p. It asks the leader
// of the bucket.
func (s *Store) Later(ctx context.Context, p protocol.Partition) (map[uint32]messages.Mark, error) {
	of := fmt.Sprintf("%x.%d.", p.TopicID, p.Number)
	keys, err := kvbucket.Subjects(ctx, s.conn, "KV_"+bucket, "$KV."+bucket+"."+of+"*")
	if err != nil {
		return nil, fmt.Errorf("list the marks of %s: %w", p, err)
	}
	later := make(map[uint32]messages.Mark)
	for subject := range keys.Subjects {
		n, err := strconv.ParseUint(strings.TrimPrefix(subject, "$KV."+bucket+"."+of), 10, 32)
		if err != nil || n <= uint64(p.Incarnation) {
			continue
		}
		q := p
		q.Incarnation = uint32(n)
		stored, err := s.Get(ctx, q)
		if err != nil {
			return nil, err
		}
		if stored.Exists {
			later[q.Incarnation] = stored.Mark
		}
	}
	return later, nil
}

// Put replaces the mark whose revision is given; 0 is none. It returns the new revision
// once the mark is durable. ErrMoved means that nothing was written; after any other
// error the mark may be there, or may still be written.
func (s *Store) Put(ctx context.Context, p protocol.Partition, mark messages.Mark, revision uint64) (uint64, error) {
	value, err := json.Marshal(mark)
	if err != nil {
		return 0, err
	}
	written, err := s.kv.Update(ctx, key(p), value, revision)
	switch {
	case kvbucket.IsConflict(err):
		return 0, fmt.Errorf("write the mark of %s over revision %d: %w", p, revision, ErrMoved)
	case err != nil:
		return 0, fmt.Errorf("write the mark of %s over revision %d: %w", p, revision, err)
	}
	return written, nil
}

// Delete removes the marks of a topic's partitions, of all incarnations.
func Delete(ctx context.Context, js jetstream.JetStream, topicID uint64) error {
	stream, err := js.Stream(ctx, "KV_"+bucket)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(fmt.Sprintf("$KV.%s.%x.>", bucket, topicID)))
	}
	if err != nil {
		return fmt.Errorf("remove the marks of topic id %d: %w", topicID, err)
	}
	return nil
}

func key(p protocol.Partition) string {
	return fmt.Sprintf("%x.%d.%d", p.TopicID, p.Number, p.Incarnation)
}
