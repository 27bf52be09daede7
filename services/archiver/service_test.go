package archiver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

// fails returns the reason with which a job fails.
func (w *world) fails(job messages.Archive) string {
	w.Helper()
	w.send(job)
	m := answer[messages.ArchiveFailed](w)
	if m.Base != job.Base.Manifest || m.Partition != job.Partition {
		w.Errorf("the failure is of %v on %q", m.Partition, m.Base)
	}
	return m.Reason
}

func wantReason(t *testing.T, reason string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(reason, part) {
			t.Errorf("the reason is %q, want it to have %q", reason, part)
		}
	}
}

func TestPurgedEntryFailsTheJob(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.append(0, fmt.Appendf(nil, "frame %d", i))
	}
	w.start(nil)
	job := w.job(messages.History{})
	log := logtest.Of(t, w.js.Conn(), partition)
	log.LoseBelow(3)
	wantReason(t, w.fails(job), "entry 1 of the log")
	log.Lose(4)
	job.Base.End = messages.Position{Sequence: 2, Offset: 2}
	wantReason(t, w.fails(job), "entry 4 of the log")
}

func TestArchiverSaysThatItHasStarted(t *testing.T) {
	w := newWorld(t)
	conn := w.connect()
	sub, err := conn.SubscribeSync(messages.ArchiverStarted)
	w.must(err)
	w.must(conn.Flush())
	w.start(nil)
	if m, err := sub.NextMsg(patient); err != nil || len(m.Data) > 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDeletedLogFailsTheJob(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	job := w.job(messages.History{})
	w.must(w.log.Delete(t.Context()))
	wantReason(t, w.fails(job), "the log does not exist")
}

func TestJobThatDoesNotFitTheLogFails(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	w.start(nil)
	job := w.job(messages.History{})
	job.To.Offset++
	wantReason(t, w.fails(job), "ends at offset 2, but the job at 3")
	job = w.job(messages.History{End: messages.Position{Sequence: 1, Offset: 1}})
	wantReason(t, w.fails(job), "begins at offset 0, but the one before ends at 1")
}

func TestUnreadableBatchFailsTheJob(t *testing.T) {
	torn := func(key string) error {
		return &objectstore.CorruptError{Damage: objectstore.Torn, Key: key, Reason: "injected"}
	}
	for name, change := range map[string]func(*faulty, string){
		"missing": func(f *faulty, lost string) {
			f.read = func(_ context.Context, key string) error {
				return when(key == lost, fmt.Errorf("read %q: %w", key, objectstore.ErrNotFound))
			}
		},
		"torn": func(f *faulty, lost string) {
			f.read = func(_ context.Context, key string) error { return when(key == lost, torn(key)) }
		},
		"altered": func(f *faulty, lost string) {
			f.alter = func(key string, _ int64, content []byte) {
				if key == lost {
					content[0]++
				}
			}
		},
		"bad disk": func(f *faulty, lost string) {
			f.read = func(_ context.Context, key string) error {
				return when(key == lost, fmt.Errorf("read %q: %w", key, objectstore.ErrMedium))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.append(0, []byte("frame 1"))
			w.append(0, []byte("frame 2"))
			lost := w.entries[1].Entry.Batches[0].Extent.Key
			w.store.faults(func(f *faulty) { change(f, lost) })
			w.start(nil)
			wantReason(t, w.fails(w.job(messages.History{})), lost)
			if w.store.puts > 0 {
				t.Error("something was stored")
			}
		})
	}
}

func when(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

func TestStoreThatStaysAwayFailsTheJob(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	w.store.faults(func(f *faulty) {
		f.read = func(context.Context, string) error { return objectstore.ErrUnreachable }
	})
	w.start(func(c *Config) { c.Patience = 10 * time.Millisecond })
	wantReason(t, w.fails(w.job(messages.History{})), objectstore.ErrUnreachable.Error())
}

// hang makes reads wait until the test ends or their contexts do. The returned channel has one
// item for each.
func (w *world) hang() <-chan struct{} {
	hanging := make(chan struct{}, 100)
	w.store.faults(func(f *faulty) {
		f.read = func(ctx context.Context, _ string) error {
			hanging <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
	})
	return hanging
}

func wait[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patient):
		t.Fatalf("%s: has not happened", what)
	}
	panic("not reached")
}

func TestWorkIsReported(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	w.hang()
	w.start(nil)
	job := w.job(messages.History{Manifest: "base"})
	w.send(job)
	for range 3 {
		if got := wait(t, "a report", w.reports); got.Base != "base" || got.Partition != partition {
			t.Errorf("report %+v", got)
		}
	}
}

func TestRepeatedJobIsNotDoneTwice(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	hanging := w.hang()
	s := w.start(nil)
	job := w.job(messages.History{})
	w.send(job)
	wait(t, "a read", hanging)
	w.send(job)
	w.until(func() bool { return s.Stats().Repeated == 1 })
	if st := s.Stats(); st.Working != 1 || st.Waiting != 0 {
		t.Errorf("stats %+v", st)
	}
}

// until waits for a condition.
func (w *world) until(condition func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patient)
	defer cancel()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for !condition() {
		select {
		case <-pace.C:
		case <-ctx.Done():
			w.Fatal("has not happened")
		}
	}
}

func TestStopGivesJobsBack(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	hanging := w.hang()
	s := w.start(nil)
	job, waiting := w.job(messages.History{}), w.job(messages.History{})
	waiting.GiveUp = true
	w.send(job)
	wait(t, "a read", hanging)
	w.send(waiting)
	w.until(func() bool { return s.Stats().Waiting == 1 })
	w.stop(s)
	for range 2 {
		wantReason(t, answer[messages.ArchiveFailed](w).Reason, "the archiver is stopping")
	}
	if got := s.Stats(); got.Working != 0 || got.Failed != 2 {
		t.Errorf("stats %+v", got)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestStopReportsAStoreThatHangs(t *testing.T) {
	w := newWorld(t)
	w.append(0, []byte("frame"))
	release, hanging := make(chan struct{}), make(chan struct{}, 100)
	w.store.faults(func(f *faulty) {
		f.read = func(context.Context, string) error {
			hanging <- struct{}{}
			<-release
			return errors.New("released")
		}
	})
	config := Config{Store: w.store}
	config.Conn, config.Logger, config.Telemetry = w.connect(), w.logger(), w.telemetry
	s, err := Start(t.Context(), config)
	w.must(err)
	w.send(w.job(messages.History{}))
	wait(t, "a read", hanging)
	if err := s.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "hanging") {
		t.Errorf("error %v", err)
	}
	close(release)
	wait(t, "the end", s.ended)
	s.jobs.Wait()
}

func TestArchiverAnswersProbes(t *testing.T) {
	w := newWorld(t)
	s := w.start(nil)
	inbox := messages.ProbePrefix + "test"
	sub, err := w.peer.Conn().SubscribeSync(inbox)
	w.must(err)
	w.must(w.peer.Conn().PublishRequest(messages.ArchiveSubject, inbox, nil))
	if _, err := sub.NextMsg(patient); err != nil {
		t.Error(err)
	}
	w.must(s.Check(t.Context()))
	w.stop(s)
	w.must(w.peer.Conn().PublishRequest(messages.ArchiveSubject, inbox, nil))
	if _, err := sub.NextMsg(patient); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestJobsAreCounted(t *testing.T) {
	w := newWorld(t)
	s := w.start(nil)
	job := w.job(messages.History{})
	job.To.Offset++
	w.fails(job)
	if got := s.Stats(); got != (core.Stats{Failed: 1}) {
		t.Errorf("stats %+v", got)
	}
	values := make(map[string]float64)
	families, err := w.telemetry.Registry.Gather()
	w.must(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" {
					values[f.GetName()+" "+l.GetValue()] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	for name, want := range map[string]float64{
		"laneway_archiver_jobs_total failed": 1, "laneway_archiver_jobs_total archived": 0, "laneway_archiver_duration_seconds failed": 1,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %v, want %v; all are %v", name, got, want, values)
		}
	}
}
