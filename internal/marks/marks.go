// Package marks stores the mark of each partition, which bounds how far the partition's log
// may have reached. There is one for each incarnation of a log. The owner of the log decides what
// the mark says; see services/replicator/core/marks.go.
//
// JetStream can restore a damaged log shorter than it was, without an error. The marks are
// in another stream than the log, so that one damaged file does not remove both a log and
// the evidence of its length. That stream is a journal, too: marks that many partitions write at the
// same time share an append.
package marks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

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
	js   jetstream.JetStream

	mu      sync.Mutex
	created map[uint16]bool // logs whose stream of marks exists
}

// New returns the store. It sends no request.
func New(conn *nats.Conn, js jetstream.JetStream) *Store {
	return &Store{conn: conn, js: js, created: make(map[uint16]bool)}
}

func (s *Store) journal(p protocol.Partition) *journal.Journal {
	return journal.Marks.Of(s.conn, s.js, p.Log)
}

// Stored is a mark with its revision. If the partition has no mark, Exists is false, and
// Revision is the one that the first Put must expect.
type Stored struct {
	Mark     messages.Mark
	Revision uint64
	Exists   bool
}

// Get returns the mark of a partition, as the leader of its stream has it. A value that cannot
// be decoded counts as no mark, and can be replaced. If the mark is lost, or a later one may be,
// the error has the code CORRUPT.
func (s *Store) Get(ctx context.Context, p protocol.Partition) (Stored, error) {
	id := messages.LogIDOf(p)
	state, exists, err := s.journal(p).State(ctx, id)
	if err != nil || !exists {
		return Stored{}, err
	}
	lost := protocol.Errorf(protocol.CodeCorrupt, "the mark of %s in %s is lost, or a later one may be", p, messages.MarksStream(p.Log))
	if state.Suspect {
		return Stored{}, lost
	}
	read, _, err := s.journal(p).Read(ctx, id, state.Last, 1)
	switch {
	case errors.Is(err, core.ErrNoLog):
		return Stored{}, nil // it was removed meanwhile
	case err != nil:
		return Stored{}, err
	case len(read) == 0:
		return Stored{}, lost
	}
	stored := Stored{Revision: read[0].Sequence}
	stored.Exists = json.Unmarshal(read[0].Data, &stored.Mark) == nil
	return stored, nil
}

// ByRepair is the owner in a mark that a repair has written. The first owner of the continued
// log replaces it.
const ByRepair = "repair"

// Later returns the marks of the incarnations of a log above that of p.
func (s *Store) Later(ctx context.Context, p protocol.Partition) (map[uint32]messages.Mark, error) {
	incarnations, err := s.journal(p).Later(ctx, messages.LogIDOf(p))
	if err != nil {
		return nil, fmt.Errorf("list the marks of %s: %w", p, err)
	}
	later := make(map[uint32]messages.Mark)
	for _, incarnation := range incarnations {
		q := p
		q.Incarnation = incarnation
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
	section := messages.Section{Log: messages.LogIDOf(p), Kind: messages.SectionNext, Entry: value, Topic: p.Topic}
	if revision == 0 {
		section.Kind = messages.SectionFirst
		if err := s.create(ctx, p.Log); err != nil {
			return 0, err
		}
	}
	written, err := s.journal(p).Append(ctx, revision, section)
	if errors.Is(err, core.ErrMoved) || errors.Is(err, core.ErrNoLog) {
		err = fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if err != nil {
		return 0, fmt.Errorf("write the mark of %s over revision %d: %w", p, revision, err)
	}
	return written, nil
}

// create creates the stream of a log's marks, with the replicas of the cluster, unless this store has done so
// before.
func (s *Store) create(ctx context.Context, log uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.created[log] {
		return nil
	}
	replicas, err := kvbucket.ClusterReplicas(ctx, s.conn)
	if err == nil {
		err = journal.Marks.Create(ctx, s.js, log, replicas)
	}
	s.created[log] = err == nil
	return err
}

// deletedAtOnce bounds the marks that are deleted at the same time.
const deletedAtOnce = 1024

// Delete removes the marks of a topic's partitions, of all incarnations.
func Delete(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, topicID uint64) error {
	names, err := streams(ctx, js)
	for _, name := range names {
		log, parseErr := strconv.ParseUint(strings.TrimPrefix(name, messages.MarksStreamPrefix), 10, 16)
		if parseErr == nil && err == nil {
			err = deleteIn(ctx, journal.Marks.Of(conn, js, uint16(log)), topicID)
		}
	}
	if err != nil {
		return fmt.Errorf("remove the marks of topic id %d: %w", topicID, err)
	}
	return nil
}

// streams returns the names of all streams with marks.
func streams(ctx context.Context, js jetstream.JetStream) (names []string, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	listed := js.StreamNames(ctx, jetstream.WithStreamListSubject(messages.MarksWildcard))
	for name := range listed.Name() {
		names = append(names, name)
	}
	return names, listed.Err()
}

func deleteIn(ctx context.Context, j *journal.Journal, topicID uint64) error {
	logs, err := j.Logs(ctx, func(id messages.LogID, _ core.State) bool { return id.TopicID == topicID })
	if err != nil {
		return err
	}
	deletes, ctx := errgroup.WithContext(ctx)
	deletes.SetLimit(deletedAtOnce)
	for id := range logs {
		deletes.Go(func() error {
			_, err := j.Append(ctx, 0, messages.Section{Log: id, Kind: messages.SectionDeleted})
			if errors.Is(err, core.ErrNoLog) {
				return nil
			}
			return err
		})
	}
	return deletes.Wait()
}
