package core

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestResultsAreGroupedByPartitionAndFrontendEpoch(t *testing.T) {
	r := newRig(t, small)
	full := messages.StageBatch{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: 4}, Floor: 3, Records: 12, MessageID: "id"}, Trace: messages.Trace{Parent: "p", State: "s"}},
		Attempt:    2,
		Remaining:  1000,
		Payload:    []byte("hello"),
	}
	newer := messages.Stage{Partition: orders0, Epoch: epoch + 1, Batches: []messages.StageBatch{batch("a", 1, 5)}}
	fx := r.step(stage(orders0, full), stage(orders1, batch("b", 1, 5)), newer, stage(orders0, batch("c", 1, 5)))
	u := done(fx.Uploads[0])
	fx = r.step(u)

	result := func(lane string, number uint64, extent messages.Extent) messages.StagedBatch {
		return messages.StagedBatch{
			Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Floor: 1, Records: 1}},
			Extent:     extent,
		}
	}
	want := []messages.Envelope{
		{Subject: messages.SequencerSubject(orders0), Message: messages.Staged{
			Partition: orders0, Epoch: epoch, Batches: []messages.StagedBatch{
				{
					Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: 4}, Floor: 3, Records: 12, MessageID: "id"}, Trace: full.Trace},
					Extent:     u.Extents[0],
				},
				result("c", 1, u.Extents[3]),
			},
		}},
		{Subject: messages.SequencerSubject(orders1), Message: messages.Staged{
			Partition: orders1, Epoch: epoch, Batches: []messages.StagedBatch{result("b", 1, u.Extents[1])},
		}},
		{Subject: messages.SequencerSubject(orders0), Message: messages.Staged{
			Partition: orders0, Epoch: epoch + 1, Batches: []messages.StagedBatch{result("a", 1, u.Extents[2])},
		}},
	}
	if diff := cmp.Diff(want, fx.Send); diff != "" {
		t.Errorf("sent differs (-want +got):\n%s", diff)
	}
	if s := r.core.Stats(); s.Batches != 4 || s.Objects != 1 || s.Bytes != uint64(u.Size) {
		t.Errorf("stats are %+v", s)
	}
}

func TestBatchKeepsTicketWhenLaterOneIsStagedFirst(t *testing.T) {
	r := newRig(t, small)
	first := r.step(stage(orders0, batch("a", 1, 1000))).Uploads[0]
	second := r.step(stage(orders0, batch("a", 2, 2000))).Uploads[0]
	if got := results(t, r.step(done(second))); len(got) != 1 || got[0].Number != 2 || got[0].Extent.Length != 2000 {
		t.Errorf("the second upload gives %+v, want ticket 2 with 2000 bytes", got)
	}
	if got := results(t, r.step(done(first))); len(got) != 1 || got[0].Number != 1 || got[0].Extent.Length != 1000 {
		t.Errorf("the first upload gives %+v, want ticket 1 with 1000 bytes", got)
	}
}

// schedule drives a core with whatever rapid thinks of, and counts the answers
// for each batch. The number of a batch is its identity.
type schedule struct {
	t        *rapid.T
	rig      rig
	settings Settings
	issued   uint64
	answers  map[uint64]int
	inFlight []*Object
}

func (s *schedule) step(events ...Event) {
	fx := s.rig.step(events...)
	for _, o := range fx.Uploads {
		if len(o.Batches) == 0 || len(o.Batches) > s.settings.ObjectBatches ||
			len(o.Batches) > 1 && o.Bytes > s.settings.ObjectBytes {
			s.t.Fatalf("an object of %d batches and %d bytes", len(o.Batches), o.Bytes)
		}
		for i := range o.Batches {
			if !s.rig.now.Before(o.Batches[i].Deadline) {
				s.t.Fatalf("batch %d is uploaded after its deadline", o.Batches[i].Number)
			}
		}
		s.inFlight = append(s.inFlight, o)
	}
	for _, e := range fx.Send {
		switch m := e.Message.(type) {
		case messages.Staged:
			for _, b := range m.Batches {
				s.answers[b.Number]++
			}
		case messages.Refused:
			for _, b := range m.Refusals {
				s.answers[b.Number]++
			}
		}
	}
	if len(s.inFlight) > s.settings.Uploads {
		s.t.Fatalf("%d uploads in flight, want at most %d", len(s.inFlight), s.settings.Uploads)
	}
	if held := s.rig.core.Stats().Held; held < 0 || held > s.settings.MemoryBytes {
		s.t.Fatalf("%d bytes held, want at most %d", held, s.settings.MemoryBytes)
	}
}

// end ends one upload, one way or the other.
func (s *schedule) end() {
	at := rapid.IntRange(0, len(s.inFlight)-1).Draw(s.t, "upload")
	o := s.inFlight[at]
	s.inFlight = append(s.inFlight[:at:at], s.inFlight[at+1:]...)
	u := done(o)
	if rapid.Bool().Draw(s.t, "fails") {
		u = Uploaded{Object: o, Failed: protocol.NewError(protocol.CodeStoreUnavailable, "")}
	}
	s.step(u)
}

func (s *schedule) arrive() {
	var batches []messages.StageBatch
	for range rapid.IntRange(1, 8).Draw(s.t, "batches") {
		s.issued++
		b := batch("a", s.issued, rapid.IntRange(0, 120).Draw(s.t, "size"))
		b.Remaining = int64(rapid.IntRange(-1, 400).Draw(s.t, "remaining"))
		batches = append(batches, b)
	}
	s.step(stage(rapid.SampledFrom([]protocol.Partition{orders0, orders1, bills0}).Draw(s.t, "partition"), batches...))
}

func TestEveryBatchIsAnsweredOnceWithinAllLimits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := Settings{
			Linger:      rapid.SampledFrom([]time.Duration{0, milliseconds(50)}).Draw(rt, "linger"),
			ObjectBytes: 200, ObjectBatches: 4, Uploads: rapid.IntRange(1, 3).Draw(rt, "uploads"), MemoryBytes: 4000,
		}
		s := &schedule{
			t: rt, settings: settings, answers: make(map[uint64]int),
			rig: rig{t: t, core: NewCore(settings), now: noon},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"arrive": func(*rapid.T) { s.arrive() },
			"end": func(rt *rapid.T) {
				if len(s.inFlight) == 0 {
					rt.Skip("nothing is uploaded")
				}
				s.end()
			},
			"wait": func(rt *rapid.T) {
				s.rig.wait(milliseconds(rapid.Int64Range(1, 200).Draw(rt, "wait")))
				s.step()
			},
		})
		s.step(rapid.SampledFrom([]Event{Drain{}, Abandon{}}).Draw(rt, "ending"))
		for len(s.inFlight) > 0 {
			s.end()
		}
		if !s.rig.core.Ended() || s.rig.core.Stats().Held != 0 || s.rig.core.Stats().Waiting != 0 {
			rt.Fatalf("the core has not ended: %+v", s.rig.core.Stats())
		}
		for number := uint64(1); number <= s.issued; number++ {
			if s.answers[number] != 1 {
				rt.Fatalf("batch %d has %d answers, want 1", number, s.answers[number])
			}
		}
	})
}
