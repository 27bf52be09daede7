package core

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var (
	noon    = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	orders0 = protocol.Partition{Topic: "orders", TopicID: 77, Number: 0}
	orders1 = protocol.Partition{Topic: "orders", TopicID: 77, Number: 1}
	bills0  = protocol.Partition{Topic: "bills", TopicID: 78, Number: 0}
)

// epoch is that of the frontend in most tests.
const epoch = 10

// small are settings whose limits a test reaches with few batches.
var small = Settings{ObjectBytes: 1000, ObjectBatches: 5, Uploads: 2, MemoryBytes: 1 << 20}

// rig is a core with a clock that only the test moves.
type rig struct {
	t    *testing.T
	core *Core
	now  time.Time
}

func newRig(t *testing.T, settings Settings) *rig {
	return &rig{t: t, core: NewCore(settings), now: noon}
}

func (r *rig) step(events ...Event) Effects { return r.core.Step(r.now, events) }

func (r *rig) wait(d time.Duration) { r.now = r.now.Add(d) }

// idle steps without an event, which must do nothing.
func (r *rig) idle(why string) {
	r.t.Helper()
	if fx := r.step(); len(fx.Uploads) > 0 || len(fx.Send) > 0 {
		r.t.Fatalf("%s: %d uploads, %v sent; want nothing", why, len(fx.Uploads), fx.Send)
	}
}

// batch returns a batch of a lane with size payload bytes and 30 s left.
func batch(lane string, number uint64, size int) messages.StageBatch {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(number) + byte(i)
	}
	return messages.StageBatch{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Floor: 1, Records: 1}},
		Attempt:    1,
		Remaining:  30_000,
		Payload:    payload,
	}
}

func stage(of protocol.Partition, batches ...messages.StageBatch) messages.Stage {
	return messages.Stage{Partition: of, Epoch: epoch, Batches: batches}
}

// done returns the result of an upload that has stored the object.
func done(o *Object) Uploaded {
	builder := objectstore.NewBuilder("objects/0/test")
	u := Uploaded{Object: o}
	for i := range o.Batches {
		b := &o.Batches[i]
		extent, err := builder.Add(objectstore.Batch{Batch: b.Batch, Partition: b.Partition, Payload: b.Payload})
		if err != nil {
			panic(err)
		}
		u.Extents = append(u.Extents, extent)
	}
	u.Size = builder.Size()
	return u
}

// wantObjects checks which batches go into which objects; a batch reads lane:number.
func wantObjects(t *testing.T, fx Effects, want ...[]string) {
	t.Helper()
	var got [][]string
	for _, o := range fx.Uploads {
		var names []string
		var bytes int64
		for i := range o.Batches {
			names = append(names, name(o.Batches[i].Lane, o.Batches[i].Number))
			bytes += int64(len(o.Batches[i].Payload))
		}
		if bytes != o.Bytes {
			t.Errorf("the object says %d bytes, its payloads have %d", o.Bytes, bytes)
		}
		got = append(got, names)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("uploads are %v, want %v", got, want)
	}
}

func name(lane string, number uint64) string { return fmt.Sprintf("%s:%d", lane, number) }

// refusals returns what was refused, in the order sent.
func refusals(t *testing.T, fx Effects) []messages.Refusal {
	t.Helper()
	var all []messages.Refusal
	for _, e := range fx.Send {
		if m, ok := e.Message.(messages.Refused); ok {
			if want := messages.FrontendSubject(m.Partition, m.Epoch); e.Subject != want {
				t.Errorf("refusals of epoch %d go to %s, want %s", m.Epoch, e.Subject, want)
			}
			all = append(all, m.Refusals...)
		}
	}
	return all
}

// wantRefused checks that exactly these batches were refused with the code.
func wantRefused(t *testing.T, fx Effects, code protocol.Code, want ...string) {
	t.Helper()
	var got []string
	for _, r := range refusals(t, fx) {
		if r.Code != code {
			t.Errorf("%s:%d is refused with %s, want %s", r.Lane, r.Number, r.Code.Kind().Name, code.Kind().Name)
		}
		got = append(got, name(r.Lane, r.Number))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("refused are %v, want %v", got, want)
	}
}

// results returns what was staged, in the order sent.
func results(t *testing.T, fx Effects) []messages.StagedBatch {
	t.Helper()
	var all []messages.StagedBatch
	for _, e := range fx.Send {
		if m, ok := e.Message.(messages.Staged); ok {
			if want := messages.SequencerSubject(m.Partition); e.Subject != want {
				t.Errorf("results of %s go to %s, want %s", m.Partition, e.Subject, want)
			}
			all = append(all, m.Batches...)
		}
	}
	return all
}

func wantStaged(t *testing.T, fx Effects, want ...string) {
	t.Helper()
	var got []string
	for _, b := range results(t, fx) {
		got = append(got, name(b.Lane, b.Number))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("staged are %v, want %v", got, want)
	}
}
