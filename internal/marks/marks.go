// Package marks stores the mark of each partition, which bounds how far the partition's log
// may have reached. It is a key-value bucket with one key per incarnation of a log. The
// owner of the log decides what the mark says; see services/replicator/core/marks.go.
//
// JetStream can restore a damaged log shorter than it was, without an error. The marks are
// in another stream than the log, so that one damaged file does not remove both a log and
// the evidence of its length.
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

// ErrMoved means that the mark has another revision than expected: another owner has written
// it.
var ErrMoved = errors.New("the mark has another revision than expected")

// Store stores the marks of all partitions. It is safe for concurrent use.
//
// Promises of the store:
//
//   - Put returns a revision only when the mark is durable.
//   - Put is a compare-and-set: of several writers that expect the same revision, at most
//     one succeeds.
//   - Get, called after a Put has returned its revision, returns that mark or a later one.
//
// Obligations of the caller:
//
//   - After an error of Put other than ErrMoved, the mark may be stored, or may still be
//     written later. The caller MUST NOT rely on the new mark before a Put has succeeded or
//     Get has returned it.
//   - An owner MUST write a mark before its appends exceed the reservation of the last one.
type Store struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
}

// Open opens the store, and creates its bucket if that does not exist. It retries until ctx
// ends.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Store, error) {
	kv, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return kvbucket.OpenBucket(ctx, js, bucket, "Laneway: bounds of how far the logs may have reached")
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &Store{conn: conn, kv: kv}, nil
}

// Existing opens the store; nil if its bucket does not exist.
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

// Stored is a mark with its revision. If the partition has no mark, Exists is false, and
// Revision is the one that the first Put must expect.
type Stored struct {
	Mark     messages.Mark
	Revision uint64
	Exists   bool
}

// Get returns the mark of a partition. It asks the leader of the bucket. A value that cannot
// be decoded counts as no mark, and can be replaced. If JetStream cannot read the key, the
// error has the code CORRUPT.
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

// ByRepair is the owner in a mark that a repair has written. The first owner of the continued
// log replaces it.
const ByRepair = "repair"

// Later returns the marks of the incarnations of a log above that of p. It asks the leader of
// the bucket.
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

// Put replaces the mark of a partition if it has the given revision; 0 means that there must
// be none. It returns the new revision when the mark is durable. After ErrMoved nothing was
// written. After any other error the mark may be stored, or may still be written later.
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
