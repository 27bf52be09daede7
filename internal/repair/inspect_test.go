package repair

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// world is a topic of two partitions whose logs lose what a test deletes.
type world struct {
	t       *testing.T
	ctx     context.Context
	conn    *nats.Conn
	js      jetstream.JetStream
	folder  string
	store   objectstore.Store
	topic   protocol.Topic
	staged  []objectstore.StoredBatch // all that was ever staged
	last    []uint64                  // sequence of each log
	next    []int64                   // offset of each log
	history []messages.History        // that entries of each log carry
}

// emptyWorld is a world that has no topic yet.
func emptyWorld(t *testing.T) *world {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, conn: conn, js: js, folder: t.TempDir(), last: make([]uint64, 2), next: make([]int64, 2), history: make([]messages.History, 2)}
	var err error
	w.store, err = objectstore.Open(w.folder, 0)
	w.must(err)
	return w
}

// newWorld is a world whose topic is not in the registry. Each partition has a log of its own number, so that
// the loss of a stream concerns one of them.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := emptyWorld(t)
	w.topic = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 2}, ID: 1<<63 | 7, Logs: 2}
	w.create()
	return w
}

// create makes the logs of the topic.
func (w *world) create() {
	w.t.Helper()
	for n := range w.last {
		w.append(n, messages.Entry{Created: true})
	}
}

// damage returns the log of a partition, to damage it.
func (w *world) damage(n int) logtest.Log { return logtest.Of(w.t, w.conn, w.topic.Partition(n)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// append adds an entry to a log and returns its sequence.
func (w *world) append(n int, e messages.Entry) uint64 {
	w.t.Helper()
	p := w.topic.Partition(n)
	e.TopicID, e.BaseOffset, e.Time, e.History = p.TopicID, w.next[n], time.Now().UnixNano(), w.history[n]
	w.damage(n).Append(w.last[n], messages.EncodeEntry(e))
	w.last[n], w.next[n] = w.last[n]+1, e.NextOffset()
	return w.last[n]
}

// stage puts batches into one object.
func (w *world) stage(batches ...objectstore.Batch) []objectstore.StoredBatch {
	w.t.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	var stored []objectstore.StoredBatch
	for _, b := range batches {
		extent, err := builder.Add(b)
		w.must(err)
		stored = append(stored, objectstore.StoredBatch{Batch: b, Extent: extent})
	}
	w.must(w.store.Put(w.ctx, key, builder.Parts()))
	w.staged = append(w.staged, stored...)
	return stored
}

// batch is one of a lane, with records that are told apart by the ticket.
func (w *world) batch(n int, lane string, number uint64, change ...func(*objectstore.Batch)) objectstore.Batch {
	var frame protocol.FrameBuilder
	frame.Append(protocol.Record{Value: fmt.Appendf(nil, "%s %d", lane, number)})
	frame.Append(protocol.Record{
		Headers: []protocol.Header{{Name: "A", Value: "1"}, {Name: "A", Value: "\xff"}, {Name: "a", Value: ""}},
		Value:   []byte{0xff, byte(number)},
	})
	b := objectstore.Batch{
		Batch:     messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Records: 2},
		Partition: w.topic.Partition(n), Epoch: 5, Payload: bytes.Clone(frame.Bytes()),
	}
	for _, c := range change {
		c(&b)
	}
	return b
}

// commit appends an entry of staged batches and returns its sequence.
func (w *world) commit(n int, batches ...objectstore.StoredBatch) uint64 {
	e := messages.Entry{Epoch: 5}
	for _, b := range batches {
		e.Batches = append(e.Batches, messages.Placeholder{
			Batch:  b.Batch.Batch,
			Extent: b.Extent,
		})
	}
	return w.append(n, e)
}

func (w *world) lose(n int, sequence uint64) { w.damage(n).Lose(sequence) }

// inspector returns an inspector of a process that has just started: it has a connection of its own, and knows nothing
// of a journal that it has not read.
func (w *world) inspector() *Inspector {
	w.t.Helper()
	conn, err := nats.Connect("", nats.InProcessServer(w.conn.Opts.InProcessServer))
	w.must(err)
	w.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	w.must(err)
	return &Inspector{Conn: conn, JS: js, Store: w.store, NewState: newFakeState}
}

func (w *world) inspect(numbers ...int) *Survey {
	w.t.Helper()
	survey, err := w.inspector().Inspect(w.ctx, w.topic, numbers)
	w.must(err)
	return survey
}

// export returns the lines of an export.
func (w *world) export(survey *Survey) ([]Exported, Written) {
	w.t.Helper()
	var out bytes.Buffer
	calls := int64(0)
	done, err := survey.Export(w.ctx, &out, func() { calls++ })
	w.must(err)
	if calls != survey.Batches() {
		w.t.Errorf("progress was told %d times, there are %d batches", calls, survey.Batches())
	}
	var lines []Exported
	for line := range strings.Lines(out.String()) {
		var e Exported
		w.must(json.Unmarshal([]byte(line), &e))
		lines = append(lines, e)
	}
	return lines, done
}

// tickets tells lines in words.
func tickets(lines []Exported) string {
	var words []string
	for i := range lines {
		words = append(words, fmt.Sprintf("%d:%s%d", lines[i].Partition, lines[i].Lane, lines[i].Ticket))
	}
	return strings.Join(words, " ")
}

// wantSame compares a line with what was staged, byte for byte.
func wantSame(t *testing.T, got *Exported, want *objectstore.StoredBatch) {
	t.Helper()
	var frame protocol.FrameBuilder
	for _, r := range got.Records {
		record := protocol.Record{Value: r.ValueBase64}
		if r.Value != nil {
			record.Value = []byte(*r.Value)
		}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, protocol.Header{
				Name: h.Name + string(h.NameBase64), Value: h.Value + string(h.ValueBase64),
			})
		}
		frame.Append(record)
	}
	if !bytes.Equal(frame.Bytes(), want.Payload) {
		t.Errorf("%s%d: the records are not those that were staged: %+v", want.Lane, want.Number, got.Records)
	}
	if got.CRC32C != fmt.Sprintf("%08x", want.Extent.CRC) || got.Length != want.Extent.Length || got.frameLength() != int64(len(want.Payload)) {
		t.Errorf("%s%d: length %d and checksum %s", want.Lane, want.Number, got.Length, got.CRC32C)
	}
	if got.Key != want.Extent.Key || got.Offset != want.Extent.Offset || got.FrontendEpoch != want.Epoch || got.TopicID != want.Partition.TopicID ||
		got.Topic != want.Partition.Topic || time.Since(got.Staged) > time.Minute {
		t.Errorf("%s%d: the line is %+v", want.Lane, want.Number, got)
	}
	var sequence messages.Sequence
	if p := got.Producer; p != nil {
		sequence = messages.Sequence{ProducerID: p.ID, ProducerEpoch: p.Epoch, First: p.Sequence}
	}
	if sequence != want.Sequence || got.MessageID != want.MessageID {
		t.Errorf("%s%d: producer %+v, message id %q", want.Lane, want.Number, sequence, got.MessageID)
	}
}

func TestNothingIsMissingWhereNothingIsLost(t *testing.T) {
	w := newWorld(t)
	w.commit(0, w.stage(w.batch(0, "a", 1), w.batch(0, "a", 2))...)
	w.commit(1, w.stage(w.batch(1, "b", 1))...)
	report := w.inspect(0, 1).Report
	for _, p := range report.Partitions {
		if len(p.Findings) != 0 || len(p.Lanes) != 0 || p.NewestObject == nil || p.Log.EndTime == nil {
			t.Errorf("partition %d: %+v", p.Partition, p)
		}
	}
	if s := report.Store; s.Objects != 2 || len(s.Damaged) != 0 || report.Damage() {
		t.Errorf("store %+v, damage %v", s, report.Damage())
	}
}

func TestWhatALostEntryReferredToIsExported(t *testing.T) {
	w := newWorld(t)
	sequence := func(first int32) func(*objectstore.Batch) {
		return func(b *objectstore.Batch) {
			b.Sequence = messages.Sequence{ProducerID: 1 << 60, ProducerEpoch: 3, First: first}
		}
	}
	id := func(b *objectstore.Batch) { b.MessageID = "once" }
	kept := w.stage(w.batch(0, "a", 1), w.batch(0, "p", 1, sequence(0)))
	w.commit(0, kept...)
	lost := w.stage(w.batch(0, "p", 2, sequence(2)), w.batch(0, "a", 3, id), w.batch(0, "a", 2))
	w.lose(0, w.commit(0, lost[0]))
	w.lose(0, w.commit(0, lost[2], lost[1]))
	w.stage(w.batch(0, "p", 9, sequence(0))) // sent again, a duplicate
	twice := w.stage(w.batch(0, "a", 2))[0]
	w.commit(0, w.stage(w.batch(0, "a", 4))...)                                       // behind the hole
	w.commit(1, w.stage(w.batch(1, "a", 2))...)                                       // of the other partition
	w.stage(w.batch(0, "a", 1, func(b *objectstore.Batch) { b.Partition.TopicID++ })) // of a deleted topic of the same name
	w.append(0, messages.Entry{Epoch: 5, Refused: []messages.LaneNumbers{{Lane: "a", Numbers: []uint64{5}}}})
	w.stage(w.batch(0, "a", 5)) // refused

	survey := w.inspect(0, 1)
	lines, done := w.export(survey)
	if got := tickets(lines); got != "0:a2 0:a3 0:p2" {
		t.Fatalf("exported are %q", got)
	}
	if lines[0].Key == twice.Extent.Key { // which of the two comes first is open
		lost[2] = twice
	}
	wantSame(t, &lines[0], &lost[2])
	wantSame(t, &lines[1], &lost[1])
	wantSame(t, &lines[2], &lost[0])
	if done != (Written{Batches: 3, Records: 6, Bytes: done.Bytes}) || done.Bytes == 0 {
		t.Errorf("written are %+v", done)
	}
	p := survey.Report.Partitions[0]
	want := []Hole{{FirstSequence: 3, LastSequence: 4, Offsets: Offsets{4, new(int64(10))}, Reason: "JetStream has lost it"}}
	if diff := cmp.Diff(want, p.Log.Holes); diff != "" {
		t.Errorf("holes (+), want (-):\n%s", diff)
	}
	if p.Copies != 2 || p.Refused != 1 || len(p.Lanes) != 2 || len(p.Findings) != 1 {
		t.Errorf("partition 0: %+v", p)
	}
	if other := survey.Report.Partitions[1]; len(other.Findings) != 0 || len(other.Lanes) != 0 {
		t.Errorf("partition 1: %+v", other)
	}
}

func TestMissingStreamIsComparedWithEvidence(t *testing.T) {
	w := newWorld(t)
	lost := w.stage(w.batch(0, "a", 1), w.batch(0, "a", 2))
	w.commit(0, lost...)
	p := w.topic.Partition(0)
	saved, err := snapshots.Open(w.ctx, w.conn, w.js)
	w.must(err)
	for _, sequence := range []uint64{1, 2} {
		s := messages.Snapshot{TopicID: p.TopicID, Sequence: sequence, NextOffset: int64(sequence) * 2, Time: time.Now().UnixNano()}
		w.must(saved.Save(w.ctx, p, sequence, 0, messages.EncodeSnapshot(s)))
	}
	w.must(saved.Save(w.ctx, p, 3, 0, []byte("damaged")))
	store := marks.New(w.conn, w.js)
	mark := messages.Mark{Written: messages.Position{Sequence: 2, Offset: 4}, Reserved: messages.Position{Sequence: 50, Offset: 500}}
	_, err = store.Put(w.ctx, p, mark, 0)
	w.must(err)
	w.damage(0).LoseStream()

	survey := w.inspect(0)
	part := survey.Report.Partitions[0]
	if part.Log.Exists || len(part.Findings) != 3 || part.Snapshot == nil || part.Snapshot.Sequence != 2 || *part.Mark != mark {
		t.Errorf("the report is %+v", part)
	}
	if got := fmt.Sprint(part.Unknown); got != "[offsets 0 to 499]" {
		t.Errorf("not known are %s", got)
	}
	if lines, _ := w.export(survey); tickets(lines) != "0:a1 0:a2" {
		t.Errorf("exported are %q", tickets(lines))
	}
}

func TestDamagedObjectsAreNamedAndTheOthersExported(t *testing.T) {
	w := newWorld(t)
	torn := w.stage(w.batch(0, "a", 1))[0].Extent
	altered := w.stage(w.batch(0, "a", 2))[0].Extent
	whole := w.stage(w.batch(0, "a", 3))
	w.must(os.Truncate(filepath.Join(w.folder, filepath.FromSlash(torn.Key)), 40))
	path := filepath.Join(w.folder, filepath.FromSlash(altered.Key))
	content, err := os.ReadFile(path)
	w.must(err)
	content[altered.Offset+3] ^= 1
	w.must(os.WriteFile(path, content, 0o600))
	w.must(os.WriteFile(filepath.Join(w.folder, "marker"), []byte("x"), 0o600))

	survey := w.inspect(0)
	if s := survey.Report.Store; s.Objects != 3 || len(s.Damaged) != 1 || s.Damaged[0].Key != torn.Key {
		t.Errorf("the store is %+v", s)
	}
	lines, done := w.export(survey)
	if tickets(lines) != "0:a2 0:a3" || done.Unreadable != 1 || done.Batches != 1 {
		t.Fatalf("exported are %q, %+v", tickets(lines), done)
	}
	if lines[0].Records != nil || !strings.Contains(lines[0].Error, "CRC-32C") {
		t.Errorf("the line of an altered batch is %+v", lines[0])
	}
	wantSame(t, &lines[1], &whole[0])
}

func TestExportReadsIntactCopy(t *testing.T) {
	w := newWorld(t)
	copies := []objectstore.StoredBatch{w.stage(w.batch(0, "a", 1))[0], w.stage(w.batch(0, "a", 1))[0]}
	for n := range copies {
		path := filepath.Join(w.folder, filepath.FromSlash(copies[n].Extent.Key))
		content, err := os.ReadFile(path)
		w.must(err)
		altered := bytes.Clone(content)
		altered[copies[n].Extent.Offset] ^= 1
		w.must(os.WriteFile(path, altered, 0o600))
		lines, done := w.export(w.inspect(0))
		if len(lines) != 1 || done.Unreadable != 0 {
			t.Fatalf("exported are %+v, %+v", lines, done)
		}
		wantSame(t, &lines[0], &copies[1-n])
		w.must(os.WriteFile(path, content, 0o600))
	}
}

func TestWithoutAStoreOnlyTheLogsAreLookedAt(t *testing.T) {
	w := newWorld(t)
	w.store = nil
	survey := w.inspect(1)
	if survey.Report.Store != nil || survey.Batches() != 0 || len(survey.Report.Partitions) != 1 || survey.Report.Partitions[0].Partition != 1 {
		t.Errorf("the report is %+v", survey.Report)
	}
}

func TestAnInspectionMakesNothing(t *testing.T) {
	w := newWorld(t)
	w.inspect(0)
	var names []string
	for name := range w.js.StreamNames(w.ctx).Name() {
		names = append(names, name)
	}
	if len(names) != 2 {
		t.Errorf("streams are %q, want the two logs only", names)
	}
}
