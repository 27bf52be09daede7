// Package snapshots stores the snapshots of replicators in a JetStream stream. A snapshot is
// a series of messages. Their subjects contain the sequence up to which the snapshot
// covers its log, so that an owner that writes an older snapshot does not overwrite a newer
// one.
//
// As long as a log was not purged, a snapshot only saves time: without one, the log is read
// from its beginning. After that, the log cannot be read without one. A readable snapshot is
// also evidence of how far its log has reached.
package snapshots

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/rounds"
	"laneway.dev/pkg/protocol"
)

const (
	streamName = "LANEWAY_SNAPSHOTS"
	prefix     = "_laneway.snapshot."
	// pieceBytes is the length of a piece: far below NATS' max_payload.
	pieceBytes = 512 << 10
)

// Store stores the snapshots of all partitions. It is safe for concurrent use.
//
// Promises of the store:
//
//   - Load never passes a part of a snapshot: pieces of different writers are never mixed,
//     and a snapshot with a missing piece is left out.
//   - Save removes older snapshots only after the new one is durable and was read back, and
//     only those that its caller names.
//
// The store does not check the content. The caller MUST detect damage by itself, with a
// checksum in the data, and MUST compare a snapshot with the log before it trusts it: a log
// may have been replaced since.
type Store struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	all    *rounds.Rounds[catalog]
}

func newStore(js jetstream.JetStream, stream jetstream.Stream) *Store {
	s := &Store{js: js, stream: stream}
	s.all = rounds.New(catalogTimeout, s.catalog)
	return s
}

// Open opens the store, and creates its stream if that does not exist. It retries until ctx
// ends.
func Open(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (*Store, error) {
	stream, err := kvbucket.Retry(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		stream, err := js.Stream(ctx, streamName)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return stream, err
		}
		replicas, err := kvbucket.ClusterReplicas(ctx, conn)
		if err != nil {
			return nil, err
		}
		return js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamName, Description: "Laneway: snapshots of replicators", Subjects: []string{prefix + ">"},
			Storage: jetstream.FileStorage, MaxMsgsPerSubject: 1, Replicas: replicas,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", streamName, err)
	}
	return newStore(js, stream), nil
}

// Existing opens the store; nil if its stream does not exist.
func Existing(ctx context.Context, js jetstream.JetStream) (*Store, error) {
	stream, err := js.Stream(ctx, streamName)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open stream %s: %w", streamName, err)
	}
	return newStore(js, stream), nil
}

// written identifies one snapshot of one writer. Its pieces have the subjects
// prefix.topic id.partition.incarnation.sequence.writer.pieces.piece. Example: the second of
// three pieces, for partition 0 of topic 1a4f at sequence 20,000, is
// _laneway.snapshot.1a4f.0.0.20000.<writer>.3.1.
type written struct {
	partition string // the subject up to the incarnation of the log, with its dot
	sequence  uint64
	writer    string // unique per Save, because two owners may cover the same sequence
	pieces    int
}

func partitionPrefix(p protocol.Partition) string {
	return fmt.Sprintf("%s%d.%d.", topicPrefix(p.TopicID), p.Number, p.Incarnation)
}

func topicPrefix(id uint64) string { return prefix + strconv.FormatUint(id, 16) + "." }

func (w written) sequencePrefix() string {
	return w.partition + strconv.FormatUint(w.sequence, 10) + "."
}

func (w written) piece(n int) string {
	return fmt.Sprintf("%s%s.%d.%d", w.sequencePrefix(), w.writer, w.pieces, n)
}

// Save stores a snapshot that covers the log of a partition up to a sequence. It
// returns nil when the snapshot is durable, reads the same as it was written, and those before
// the sequence keep are removed. After an error the snapshot may be stored, in part or
// completely, and damaged; parts are ignored.
func (s *Store) Save(ctx context.Context, p protocol.Partition, sequence, keep uint64, data []byte) error {
	pieces := slices.Collect(slices.Chunk(data, pieceBytes))
	w := written{partitionPrefix(p), sequence, nuid.Next(), len(pieces)}
	for n, piece := range pieces {
		if _, err := s.js.Publish(ctx, w.piece(n), piece, jetstream.WithExpectStream(streamName)); err != nil {
			return fmt.Errorf("save the snapshot of %s at sequence %d: %w", p, sequence, err)
		}
	}
	if err := s.compare(ctx, w, pieces); err != nil {
		return fmt.Errorf("read back the snapshot of %s at sequence %d: %w", p, sequence, err)
	}
	if err := s.clean(ctx, p, keep); err != nil {
		return fmt.Errorf("remove old snapshots of %s: %w", p, err)
	}
	return nil
}

// compare reads the pieces of a snapshot, one at a time, and compares them with what was
// written.
func (s *Store) compare(ctx context.Context, w written, pieces [][]byte) error {
	for n, piece := range pieces {
		m, err := s.stream.GetLastMsgForSubject(ctx, w.piece(n))
		if err != nil {
			return err
		}
		if !bytes.Equal(m.Data, piece) {
			return protocol.Errorf(protocol.CodeCorrupt, "piece %d of %d is not as it was written", n+1, len(pieces))
		}
	}
	return nil
}

// clean removes all pieces of the snapshots before a sequence.
func (s *Store) clean(ctx context.Context, p protocol.Partition, keep uint64) error {
	all, err := s.list(ctx, p)
	if err != nil {
		return err
	}
	for w := range all {
		if w.sequence < keep {
			if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(w.sequencePrefix()+">")); err != nil {
				return err
			}
		}
	}
	return nil
}

// Load calls use for the snapshots of a partition, newest first, until it returns true. It
// leaves out snapshots with a piece that is missing or cannot be read.
func (s *Store) Load(ctx context.Context, p protocol.Partition, use func(data []byte) (good bool)) error {
	all, err := s.list(ctx, p)
	if err != nil {
		return fmt.Errorf("list the snapshots of %s: %w", p, err)
	}
	for _, w := range all.complete() {
		data, err := s.read(ctx, w)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), // removed since it was listed
			errors.Is(err, nats.ErrBadHeaderMsg): // damaged in bytes that JetStream's checksum does not cover
			continue
		case err != nil:
			return fmt.Errorf("read the snapshot of %s at sequence %d: %w", p, w.sequence, err)
		}
		if use(data) {
			break
		}
	}
	return nil
}

func (s *Store) read(ctx context.Context, w written) ([]byte, error) {
	data := make([]byte, 0, w.pieces*pieceBytes)
	for n := range w.pieces {
		m, err := s.stream.GetLastMsgForSubject(ctx, w.piece(n))
		if err != nil {
			return nil, err
		}
		data = append(data, m.Data...)
	}
	return data, nil
}

// Remove removes all snapshots of the log of a partition.
func (s *Store) Remove(ctx context.Context, p protocol.Partition) error {
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(partitionPrefix(p)+">")); err != nil {
		return fmt.Errorf("remove the snapshots of %s: %w", p, err)
	}
	return nil
}

// Delete removes all snapshots of a topic.
func Delete(ctx context.Context, js jetstream.JetStream, topicID uint64) error {
	stream, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(topicPrefix(topicID)+">"))
	}
	if err != nil {
		return fmt.Errorf("remove snapshots: %w", err)
	}
	return nil
}

// listing counts the stored pieces of each snapshot.
type listing map[written]int

// complete returns the snapshots without a missing piece, newest first.
func (l listing) complete() []written {
	all := slices.SortedFunc(maps.Keys(l), func(a, b written) int {
		return cmp.Or(cmp.Compare(b.sequence, a.sequence), cmp.Compare(a.writer, b.writer))
	})
	return slices.DeleteFunc(all, func(w written) bool { return l[w] != w.pieces })
}

func (s *Store) list(ctx context.Context, p protocol.Partition) (listing, error) {
	of := partitionPrefix(p)
	state, err := kvbucket.Subjects(ctx, s.js.Conn(), streamName, of+">")
	if err != nil {
		return nil, err
	}
	all := make(listing)
	for subject := range state.Subjects {
		if w, ok := parse(of, strings.TrimPrefix(subject, of)); ok {
			all[w]++
		}
	}
	return all, nil
}

// parse parses the part of a piece's subject after the partition; false for another subject.
func parse(partition, rest string) (written, bool) {
	tokens := strings.Split(rest, ".")
	if len(tokens) != 4 {
		return written{}, false
	}
	sequence, err := strconv.ParseUint(tokens[0], 10, 64)
	pieces, piecesErr := strconv.Atoi(tokens[2])
	const most = 1 << 12 // no snapshot is larger
	if err != nil || piecesErr != nil || pieces < 1 || pieces > most {
		return written{}, false
	}
	return written{partition, sequence, tokens[1], pieces}, true
}
