// Package partitionlog is the log of a partition in JetStream: entries that are appended by
// compare-and-set, one append at a time, and read by their sequences. Many partitions share a journal;
// decision 81 says why. The replicator decides what is appended and by which owner.
package partitionlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// ErrMoved means that the last sequence of the log is not the expected one, because
// another writer has appended an entry. The rejected entry is not in the log.
var ErrMoved = errors.New("the last sequence of the log is not the expected one")

// ErrTooFewServers means that NATS has fewer servers with JetStream than the log needs
// replicas.
var ErrTooFewServers = errors.New("NATS has too few servers for the replicas")

// ErrSealed means that the log takes no more appends, because it is being continued in another one.
var ErrSealed = errors.New("the log is sealed")

// Log is the log of one partition: entries with rising sequences, stored by JetStream in the journal of
// the partition's log number.
//
// Promises of the log:
//
//   - Append returns a sequence only when the entry is durable on the replicas
//     of the journal's stream.
//   - Append is a compare-and-set on the last sequence. Of several writers that
//     expect the same one, at most one succeeds, so a writer that was replaced cannot
//     append any more.
//   - Entries are never changed. They are removed only by Purge, from the first one on, and
//     by Delete, which removes them all.
//
// Obligations of the caller:
//
//   - One append at a time. After an append whose outcome is unknown, the caller MUST NOT
//     conclude anything from its error. It reads the log up to an entry that it has
//     appended later: the unknown entry is below it, or will never be in the log.
//   - Readers MUST NOT assume that the first sequence is 1, and MUST compare
//     neighboring sequences: a hole, which is damage, otherwise looks like the
//     next entry.
//   - Any replica may answer a read, and it may lag behind. Before a reader concludes
//     that the log ends, or that an entry is lost, it MUST ask the leader (Confirm,
//     State, Bounds).
//
// Errors that wrap CORRUPT mean that stored bytes are lost or damaged. Any other error of
// a method that reads says nothing about the log, and the call may be repeated. All
// methods are safe for concurrent use.
type Log struct {
	conn      *nats.Conn
	js        jetstream.JetStream
	partition protocol.Partition
	id        messages.LogID
}

// New returns the log of a partition. It sends no request.
func New(conn *nats.Conn, js jetstream.JetStream, partition protocol.Partition) *Log {
	return &Log{conn, js, partition, messages.LogIDOf(partition)}
}

// Create creates the log, as CreateAll does.
func (l *Log) Create(ctx context.Context, replicas int, watermark uint64) error {
	return CreateAll(ctx, []*Log{l}, replicas, watermark)
}

// CreateAll appends the first entries of logs, with this watermark. It creates their journals with this
// number of replicas if there are none. It may be repeated.
func CreateAll(ctx context.Context, logs []*Log, replicas int, watermark uint64) error {
	journals := make(map[uint16]bool)
	var pending []*journal.Appending
	flush := func() error {
		for _, a := range pending {
			if _, err := a.Await(ctx); err != nil && !errors.Is(err, core.ErrMoved) { // else the log exists
				return err
			}
		}
		pending = pending[:0]
		return nil
	}
	for _, l := range logs {
		if !journals[l.partition.Log] {
			if err := l.createJournal(ctx, replicas); err != nil {
				return err
			}
			journals[l.partition.Log] = true
		}
		a, err := l.begin(ctx, 0, messages.StageOwned, messages.Entry{TopicID: l.partition.TopicID, Created: true, Watermark: watermark})
		if err != nil {
			return err
		}
		if pending = append(pending, a); len(pending) == maxPending {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Delete deletes the log. If it does not exist, that is not an error.
func (l *Log) Delete(ctx context.Context) error { return l.mark(ctx, messages.SectionDeleted) }

// Append appends an entry if expected is the last sequence of the log. It returns
// the sequence of the entry when the entry is durable.
//
// After ErrMoved and ErrSealed, this request has not appended the entry and will not. After
// any other error the outcome is unknown: the entry may be in the log, or the message may
// still be on its way and append it later. Append does not retry: if the first attempt had
// succeeded, the second one would get the same answer as for a conflict with another
// writer.
func (l *Log) Append(ctx context.Context, expected uint64, data []byte) (uint64, error) {
	sequence, err := l.journal().Append(ctx, expected, l.section(messages.SectionNext, messages.StageOwned, data))
	return sequence, known(err)
}

// AppendThen is Append without waiting. It calls then once with the result, from any goroutine. then MUST
// NOT block.
func (l *Log) AppendThen(ctx context.Context, expected uint64, data []byte, then func(sequence uint64, err error)) {
	l.journal().AppendThen(ctx, expected, l.section(messages.SectionNext, messages.StageOwned, data), func(sequence uint64, err error) {
		then(sequence, known(err))
	})
}

// Read returns up to limit entries, starting with the first one whose sequence is at
// least from. Their sequences rise, but may have holes. atEnd reports that no entry follows
// them on the replica that has answered, which may lag behind the leader. Together with an
// error, Read returns the entries that it has read before it.
func (l *Log) Read(ctx context.Context, from uint64, limit int) (entries []messages.LoggedEntry, atEnd bool, err error) {
	read, atEnd, err := l.several(ctx, from, limit)
	entries = make([]messages.LoggedEntry, 0, len(read))
	expected := max(from, 1)
	for i := range read {
		entry, damage := l.decode(&read[i], expected)
		if damage != nil {
			return entries, false, fmt.Errorf("read the log %s: %w", messages.LogName(l.partition), damage)
		}
		entries = append(entries, entry)
		expected = entry.Sequence + 1
	}
	return entries, atEnd, err
}

// decode decodes a message. If it has no sequence because its headers are damaged, the error names
// the expected one.
func (l *Log) decode(m *streamread.Message, expected uint64) (messages.LoggedEntry, error) {
	if m.Sequence == 0 {
		return messages.LoggedEntry{}, &DamagedEntry{expected, protocol.Errorf(protocol.CodeCorrupt,
			"entry %d of log %s: its headers cannot be read", expected, messages.LogName(l.partition))}
	}
	return l.decodeEntry(m.Sequence, m.Data)
}

func (l *Log) decodeEntry(sequence uint64, data []byte) (messages.LoggedEntry, error) {
	entry, err := messages.DecodeEntry(data)
	switch {
	case err != nil:
		err = protocol.Errorf(protocol.CodeCorrupt, "entry %d of log %s: %v", sequence, messages.LogName(l.partition), err)
	case entry.TopicID != l.partition.TopicID:
		err = protocol.Errorf(protocol.CodeCorrupt,
			"entry %d of log %s belongs to topic id %d, not %d", sequence, messages.LogName(l.partition), entry.TopicID, l.partition.TopicID)
	}
	if err != nil {
		return messages.LoggedEntry{}, &DamagedEntry{sequence, err}
	}
	return messages.LoggedEntry{Sequence: sequence, Entry: entry}, nil
}
