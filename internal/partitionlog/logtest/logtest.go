// Package logtest makes and damages the logs of partitions in tests, as the files of JetStream can be
// damaged.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

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

// Begin prepares a log whose first entry will get a sequence. Until it has an entry, it may not exist.
// JetStream may still be removing the files of an earlier stream, so Begin repeats a creation that fails.
func (l Log) Begin(first uint64) Log {
	l.Helper()
	if partitionlog.InJournals {
		l.must(journal.Create(l.ctx, l.js, l.partition.Log, 1))
		return l
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		_, err := l.js.CreateStream(l.ctx, jetstream.StreamConfig{
			Name: messages.LogName(l.partition), Subjects: []string{messages.LogSubject(l.partition)}, AllowDirect: true, FirstSeq: first,
			Metadata: map[string]string{"laneway-topic": l.partition.Topic},
		})
		if err == nil {
			return l
		}
		if tries == mostTries {
			l.Fatal(err)
		}
		<-tick.C
	}
}

// mostTries bounds how often a stream is created.
const mostTries = 500

// Append appends any data after the last entry, and returns its sequence. It begins a log that Begin has
// prepared.
func (l Log) Append(expected uint64, data []byte) (sequence uint64) {
	l.Helper()
	sequence, err := partitionlog.New(l.conn, l.js, l.partition).Append(l.ctx, expected, data)
	if partitionlog.InJournals && errors.Is(err, partitionlog.ErrNoLog) {
		first := messages.Section{Log: messages.LogIDOf(l.partition), Kind: messages.SectionFirst, Entry: data, Topic: l.partition.Topic}
		sequence, err = journal.Of(l.conn, l.js, l.partition.Log).Append(l.ctx, expected, first)
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
	if partitionlog.InJournals {
		section := messages.Section{Log: messages.LogIDOf(l.partition), Kind: messages.SectionNext, Entry: data, Topic: l.partition.Topic}
		a, err := journal.Of(l.conn, l.js, l.partition.Log).Begin(l.ctx, expected, section)
		l.must(err)
		return func() error {
			_, err := a.Await(l.ctx)
			return err
		}
	}
	ack, err := l.js.PublishAsync(messages.LogSubject(l.partition), data, jetstream.WithExpectLastSequence(expected))
	l.must(err)
	return func() error {
		select {
		case <-ack.Ok():
			return nil
		case err := <-ack.Err():
			return err
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

// Lose loses entries. With InJournals, each of them MUST be alone in its group, or the others are
// lost, too.
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

// LoseEntries loses all entries. The stream stays.
func (l Log) LoseEntries() {
	l.Helper()
	l.must(l.stream().Purge(l.ctx))
}

// LoseLog loses the log. With InJournals, the others of its journal stay.
func (l Log) LoseLog() {
	l.Helper()
	l.must(partitionlog.New(l.conn, l.js, l.partition).Delete(l.ctx))
}

// LoseStream loses the stream with the log. With InJournals it has all logs of this number.
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

// Bytes returns the size of the log: of its stream as JetStream counts it, or of its entries in a journal.
func (l Log) Bytes() (size uint64) {
	l.Helper()
	if !partitionlog.InJournals {
		return l.stream().CachedInfo().State.Bytes
	}
	for from, atEnd := uint64(1), false; !atEnd; {
		var entries []journal.Entry
		var err error
		entries, atEnd, err = journal.Of(l.conn, l.js, l.partition.Log).Read(l.ctx, messages.LogIDOf(l.partition), from, maxPending)
		l.must(err)
		for _, e := range entries {
			size += uint64(len(e.Data))
			from = e.Sequence + 1
		}
	}
	return size
}

// Stream returns the name of the stream that has the log.
func (l Log) Stream() string {
	if partitionlog.InJournals {
		return messages.JournalStream(l.partition.Log)
	}
	return messages.LogName(l.partition)
}

func (l Log) stream() jetstream.Stream {
	l.Helper()
	stream, err := l.js.Stream(l.ctx, l.Stream())
	l.must(err)
	return stream
}

// place returns the sequence in the stream of an entry.
func (l Log) place(sequence uint64) uint64 {
	l.Helper()
	if !partitionlog.InJournals {
		return sequence
	}
	place, err := journal.Of(l.conn, l.js, l.partition.Log).Place(l.ctx, messages.LogIDOf(l.partition), sequence)
	if err == nil && place == 0 {
		err = fmt.Errorf("the log of %s has no entry %d", l.partition, sequence)
	}
	l.must(err)
	return place
}
