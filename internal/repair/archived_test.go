package repair

import (
	"slices"

	"laneway.dev/internal/archive/archivetest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// archive archives the entries of a log after a history, up to a sequence.
func (w *world) archive(n int, base messages.History, to uint64) messages.History {
	w.t.Helper()
	p := w.topic.Partition(n)
	next, err := archivetest.Archive(w.ctx, partitionlog.New(w.conn, w.js, p), w.store, p, base, to, protocol.CompressionNone)
	w.must(err)
	return next
}

// save saves a snapshot that covers a log up to an entry, with one producer whose id says so.
func (w *world) save(n int, sequence uint64) {
	w.t.Helper()
	p := w.topic.Partition(n)
	entries, _, err := partitionlog.New(w.conn, w.js, p).Read(w.ctx, sequence, 1)
	w.must(err)
	w.saveAt(n, sequence, entries[0].Entry)
}

// saveAt saves a snapshot that ends with an entry.
func (w *world) saveAt(n int, sequence uint64, e messages.Entry) {
	w.t.Helper()
	p := w.topic.Partition(n)
	store, err := snapshots.Open(w.ctx, w.conn, w.js)
	w.must(err)
	w.must(store.Save(w.ctx, p, sequence, 0, messages.EncodeSnapshot(messages.Snapshot{
		TopicID: p.TopicID, Incarnation: p.Incarnation, Sequence: sequence, NextOffset: e.NextOffset(), Time: e.Time, FrontendEpoch: e.Epoch,
		Producers: []messages.SnapshotProducer{{ProducerFence: messages.ProducerFence{ProducerID: 1000 + int64(sequence)}}}, History: e.History,
	})))
}

func (w *world) purge(n int, below uint64) {
	w.t.Helper()
	w.damage(n).LoseBelow(below)
}

// fakeState is a snapshot with a producer for each applied entry, whose id is its sequence.
type fakeState struct{ made messages.Snapshot }

func newFakeState(_ protocol.Topic, p protocol.Partition, from *messages.Snapshot) State {
	if from == nil {
		return &fakeState{messages.Snapshot{TopicID: p.TopicID}}
	}
	return &fakeState{*from}
}

func (s *fakeState) Apply(e *messages.LoggedEntry) {
	s.made.Producers = append(slices.Clip(s.made.Producers), messages.SnapshotProducer{ProducerFence: messages.ProducerFence{ProducerID: int64(e.Sequence)}})
	s.made.Sequence, s.made.NextOffset = e.Sequence, e.Entry.NextOffset()
}

func (s *fakeState) Snapshot() messages.Snapshot { return s.made }
