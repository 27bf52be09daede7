package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// rig drives a core.
type rig struct {
	*testing.T
	core *Core
	now  time.Time
}

func newRig(t *testing.T, workers, waiting int) *rig {
	return &rig{t, NewCore(Settings{Workers: workers, Waiting: waiting, ReportEvery: time.Second}), time.Unix(1000, 0)}
}

func job(number int32) messages.Archive {
	return messages.Archive{
		Partition: protocol.Partition{Topic: "orders", TopicID: 7, Number: number},
		Base:      messages.History{Manifest: fmt.Sprint("m", number)}, To: messages.Position{Sequence: 9, Offset: 90},
	}
}

// step returns what the core does about events, one line each.
func (r *rig) step(events ...Event) []string {
	fx := r.core.Step(r.now, events)
	var lines []string
	for _, j := range fx.Start {
		lines = append(lines, fmt.Sprint("start ", j.Partition.Number))
	}
	for _, e := range fx.Send {
		if want := messages.ReplicatorSubject(e.Message.Of()); e.Subject != want {
			r.Errorf("%T is sent to %s, want %s", e.Message, e.Subject, want)
		}
		number := e.Message.Of().Number
		base := ""
		switch m := e.Message.(type) {
		case messages.Archiving:
			lines, base = append(lines, fmt.Sprint("archiving ", number)), m.Base
		case messages.Archived:
			lines, base = append(lines, fmt.Sprint("archived ", number, " ", m.Records, m.Damaged, m.Missing, " ", m.History.Manifest)), m.Base
		case messages.ArchiveFailed:
			lines, base = append(lines, fmt.Sprint("failed ", number, ": ", m.Reason)), m.Base
		}
		if want := job(number).Base.Manifest; base != want {
			r.Errorf("%T names the base %q, want %q", e.Message, base, want)
		}
	}
	return lines
}

func (r *rig) wants(got []string, want ...string) {
	r.Helper()
	if !slices.Equal(got, want) {
		r.Errorf("got %q, want %q", got, want)
	}
}

func TestJobsAreWorkedOnInOrder(t *testing.T) {
	r := newRig(t, 2, 10)
	r.wants(r.step(job(1), job(2), job(3)), "start 1", "start 2", "archiving 1", "archiving 2")
	result := Result{History: messages.History{Manifest: "new"}, Records: 80, Damaged: 7, Missing: 3, Bytes: 100}
	r.wants(r.step(Finished{Job: job(2), Result: result}), "start 3", "archived 2 80 7 3 new", "archiving 3")
	r.wants(r.step(Finished{Job: job(1), Failed: "the log is gone"}), "failed 1: the log is gone")
	want := Stats{Archived: 1, Failed: 1, Records: 80, Damaged: 7, Bytes: 100, Working: 1}
	if got := r.core.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestWorkIsReportedAtIntervals(t *testing.T) {
	r := newRig(t, 1, 10)
	r.wants(r.step(job(1), job(2)), "start 1", "archiving 1")
	r.now = r.now.Add(time.Second - 1)
	r.wants(r.step())
	r.now = r.now.Add(1)
	r.wants(r.step(), "archiving 1")
	r.wants(r.step())
}

func TestRepeatedJobIsDropped(t *testing.T) {
	r := newRig(t, 1, 10)
	r.wants(r.step(job(1), job(2), job(1), job(2)), "start 1", "archiving 1")
	r.wants(r.step(job(1), Finished{Job: job(1)}, job(2)), "start 2", "archived 1 0 0 0 ", "archiving 2")
	r.wants(r.step(job(2), Finished{Job: job(2)}), "archived 2 0 0 0 ")
	r.wants(r.step(job(1)), "start 1", "archiving 1") // after it is finished it is a new one
	if s := r.core.Stats(); s.Repeated != 5 {
		t.Errorf("%d repeated", s.Repeated)
	}
}

func TestJobsBeyondTheBoundAreDropped(t *testing.T) {
	r := newRig(t, 1, 2)
	r.wants(r.step(job(1)), "start 1", "archiving 1")
	r.wants(r.step(job(2), job(3), job(4)))
	if s := r.core.Stats(); s.Dropped != 1 || s.Waiting != 2 {
		t.Errorf("%d dropped, %d waiting", s.Dropped, s.Waiting)
	}
	r.wants(r.step(Finished{Job: job(1)}), "start 2", "archived 1 0 0 0 ", "archiving 2")
}

func TestNewerJobOfAPartitionTakesThePlaceOfTheOneThatWaits(t *testing.T) {
	r := newRig(t, 1, 2)
	newer := job(2)
	newer.GiveUp = true
	r.step(job(1), job(2), job(3), newer)
	fx := r.core.Step(r.now, []Event{Finished{Job: job(1)}})
	if len(fx.Start) != 1 || fx.Start[0] != newer {
		t.Errorf("started %+v", fx.Start)
	}
	if s := r.core.Stats(); s.Replaced != 1 || s.Waiting != 1 {
		t.Errorf("%d replaced, %d waiting", s.Replaced, s.Waiting)
	}
}

func TestStopAnswersEveryJob(t *testing.T) {
	r := newRig(t, 1, 10)
	r.step(job(1), job(2))
	r.wants(r.step(Stop{}, job(3)), "failed 2: "+stopping, "failed 3: "+stopping)
	if r.core.Ended() {
		t.Error("it has ended before the work has")
	}
	r.wants(r.step(Finished{Job: job(1), Failed: "cancelled"}), "failed 1: cancelled")
	if !r.core.Ended() {
		t.Error("it has not ended")
	}
	r.wants(r.step(job(4)), "failed 4: "+stopping)
}
