// Package logtest makes and damages the logs of partitions in tests, as the files of JetStream can be
// damaged.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/journal"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Log is the log of a partition.
type Log struct {
	testing.TB
	ctx       context.Context
	conn      *nats.Conn
	js        jetstream.JetStream
	partition protocol.Partition
}

// Of returns the log of a partition. It sends no request. Every method fails the test if it does not
// succeed.
func Of(t testing.TB, conn *nats.Conn, p protocol.Partition) Log {
	t.Helper()
	js, err := jetstream.New(conn)
	l := Log{TB: t, ctx: t.Context(), conn: conn, js: js, partition: p}
	l.must(err)
	return l
}

func (l Log) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// Append appends any data after the last entry, and returns its sequence. If the log does not exist, it
// begins after expected.
func (l Log) Append(expected uint64, data []byte) (sequence uint64) {
	l.Helper()
	sequence, err := partitionlog.New(l.conn, l.js, l.partition).Append(l.ctx, expected, data)
	if errors.Is(err, partitionlog.ErrNoLog) {
		l.must(journal.Logs.Create(l.ctx, l.js, l.partition.Log, 1))
		first := messages.Section{Log: messages.LogIDOf(l.partition), Kind: messages.SectionFirst, Entry: data, Topic: l.partition.Topic}
		sequence, err = journal.Logs.Of(l.conn, l.js, l.partition.Log).Append(l.ctx, expected, first)
	}
	l.must(err)
	return sequence
}

// AppendAll appends entries without waiting for each, and returns the sequence of the last one.
func (l Log) AppendAll(expected uint64, entries iter.Seq[messages.Entry]) (last uint64) {
	l.Helper()
	var pending []func() error
	flush := func() {
		for _, done := range pending {
			l.must(done())
		}
		pending = pending[:0]
	}
	for e := range entries {
		if pending = append(pending, l.send(expected, messages.EncodeEntry(e))); len(pending) == maxPending {
			flush()
		}
		expected++
	}
	flush()
	return expected
}

// maxPending bounds the entries that are sent and not yet durable.
const maxPending = 1000

// send sends an entry. done returns when it is durable.
func (l Log) send(expected uint64, data []byte) (done func() error) {
	l.Helper()
	section := messages.Section{Log: messages.LogIDOf(l.partition), Kind: messages.SectionNext, Entry: data, Topic: l.partition.Topic}
	a, err := journal.Logs.Of(l.conn, l.js, l.partition.Log).Begin(l.ctx, expected, section)
	l.must(err)
	return func() error {
		_, err := a.Await(l.ctx)
		return err
	}
}

// Lose loses entries. Each of them MUST be alone in its group, or the others are lost, too.
func (l Log) Lose(sequences ...uint64) {
	l.Helper()
	stream := l.stream()
	for _, sequence := range sequences {
		l.must(stream.SecureDeleteMsg(l.ctx, l.place(sequence)))
	}
}

// LoseBelow loses all entries below a sequence, as by a purge.
func (l Log) LoseBelow(sequence uint64) {
	l.Helper()
	l.must(l.stream().Purge(l.ctx, jetstream.WithPurgeSequence(l.place(sequence))))
}

// LoseEntries loses all entries of the journal. Its stream stays.
func (l Log) LoseEntries() {
	l.Helper()
	l.must(l.stream().Purge(l.ctx))
}

// LoseLog loses the log. The others of its journal stay.
func (l Log) LoseLog() {
	l.Helper()
	l.must(partitionlog.New(l.conn, l.js, l.partition).Delete(l.ctx))
}

// LoseStream loses the stream of the journal, with all of its logs.
func (l Log) LoseStream() {
	l.Helper()
	l.must(l.js.DeleteStream(l.ctx, l.Stream()))
}

// Exists reports whether the log exists.
func (l Log) Exists() bool {
	l.Helper()
	_, err := partitionlog.New(l.conn, l.js, l.partition).Bounds(l.ctx)
	if errors.Is(err, partitionlog.ErrNoLog) {
		return false
	}
	l.must(err)
	return true
}

// Bytes returns the size of the entries of the log.
func (l Log) Bytes() (size uint64) {
	l.Helper()
	for from, atEnd := uint64(1), false; !atEnd; {
		var entries []journal.Entry
		var err error
		entries, atEnd, err = journal.Logs.Of(l.conn, l.js, l.partition.Log).Read(l.ctx, messages.LogIDOf(l.partition), from, maxPending)
		l.must(err)
		for _, e := range entries {
			size += uint64(len(e.Data))
			from = e.Sequence + 1
		}
	}
	return size
}

// Stream returns the name of the stream that has the log.
func (l Log) Stream() string { return messages.JournalStream(l.partition.Log) }

func (l Log) stream() jetstream.Stream {
	l.Helper()
	stream, err := l.js.Stream(l.ctx, l.Stream())
	l.must(err)
	return stream
}

// place returns the sequence of the group with an entry.
func (l Log) place(sequence uint64) uint64 {
	l.Helper()
	place, err := journal.Logs.Of(l.conn, l.js, l.partition.Log).Place(l.ctx, messages.LogIDOf(l.partition), sequence)
	if err == nil && place == 0 {
		err = fmt.Errorf("the log of %s has no entry %d", l.partition, sequence)
	}
	l.must(err)
	return place
}
