package repair

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// archive writes the entries of a log after a history, up to a sequence, into a segment, and a
// manifest that lists it, as an archiver does.
func (w *world) archive(n int, base messages.History, to uint64) messages.History {
	w.t.Helper()
	p := w.topic.Partition(n)
	before := manifest.New(p)
	if base.Archived() {
		data, err := w.store.ReadRange(w.ctx, base.Manifest, 0, manifest.HeadSize)
		w.must(err)
		length, err := manifest.ParseHead(data)
		w.must(err)
		data, err = w.store.ReadRange(w.ctx, base.Manifest, 0, length)
		w.must(err)
		decoded, err := manifest.Decode(base.Manifest, data)
		w.must(err)
		before = *decoded
	}
	key, err := objectstore.NewSegmentKey(1, time.Now(), nil)
	w.must(err)
	builder := segment.NewBuilder(key, p, protocol.CompressionNone)
	log := partitionlog.New(w.conn, w.js, p)
	bounds, err := log.Bounds(w.ctx)
	w.must(err)
	frames := objectstore.NewFrames(w.store)
	w.must(log.Walk(w.ctx, max(base.End.Sequence+1, bounds.First), to, func(e messages.LoggedEntry) error {
		var all [][]byte
		for _, b := range e.Entry.Batches {
			frame, err := frames.Read(w.ctx, b.Extent)
			w.must(err)
			all = append(all, slices.Clone(frame))
		}
		return builder.Add(e, all)
	}, func(m partitionlog.Missing) error {
		w.t.Fatalf("missing are %+v", m)
		return nil
	}))
	parts, summary, err := builder.Finish()
	w.must(err)
	w.must(w.store.Put(w.ctx, key, parts))
	manifestKey, err := objectstore.NewManifestKey(1, time.Now(), nil)
	w.must(err)
	next, _, err := before.Append(manifestKey, summary, "")
	w.must(err)
	w.must(w.store.Put(w.ctx, manifestKey, [][]byte{manifest.Encode(next)}))
	return next.History()
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
	stream, err := w.js.Stream(w.ctx, messages.LogStream(w.topic.Partition(n)))
	w.must(err)
	w.must(stream.Purge(w.ctx, jetstream.WithPurgeSequence(below)))
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
