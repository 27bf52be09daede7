package sweeper

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"

	"laneway.dev/internal/sweepstate"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/services/archiver/core/sweep"
)

// Stats is what happened so far.
type Stats struct {
	Complete, Ended       uint64 // sweeps
	Deleted, DeletedBytes int64
	Took                  time.Duration // of the last sweep
	LastComplete          time.Time
	EndedSince            time.Time     // when a sweep has first ended early since the last complete one; zero if none has
	Last                  sweep.Outcome // of the last sweep
}

// Stats returns what happened so far.
func (s *Sweeper) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// ended notes how a sweep has ended.
func (s *Sweeper) ended(ctx context.Context, o sweep.Outcome, took time.Duration) {
	if len(o.Forget) > 0 {
		attempt, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		if err := topics.Forget(attempt, s.config.JS, o.Forget); err != nil {
			s.config.Logger.Debug("the tombstones of deleted topics stay for another sweep", zap.Error(err))
		}
	}
	if o.Reason != "" && !s.config.Conn.IsConnected() {
		// The errors of nats.go, such as that a buffer is full, do not name the cause.
		o.Reason = "not connected to NATS: " + o.Reason
	}
	if o.Alarm != sweep.NoAlarm && s.overtaken(ctx) {
		o.Alarm, o.Reason = sweep.NoAlarm, errOvertaken.Error() // it has compared with what is not true any more
	}
	if o.Alarm != sweep.NoAlarm {
		s.raiseAlarm(ctx, o)
	}
	s.note(ctx, o)
	s.log(o, took)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Deleted += o.Deleted
	s.stats.DeletedBytes += o.DeletedBytes
	s.stats.Took, s.stats.Last = took, o
	if o.Reason != "" {
		s.stats.Ended++
		if s.stats.EndedSince.IsZero() {
			s.stats.EndedSince = time.Now()
		}
		return
	}
	s.stats.Complete++
	s.stats.LastComplete, s.stats.EndedSince = time.Now(), time.Time{}
}

// raiseAlarm keeps an alarm in NATS, and which logs are older than the store. If an operator accepts them at
// this moment, the next sweep removes both.
func (s *Sweeper) raiseAlarm(ctx context.Context, o sweep.Outcome) {
	if err := sweepstate.NoteAlarm(ctx, s.config.JS, words(o.Alarm)); err != nil {
		s.config.Logger.Warn("the alarm of a sweep could not be stored, so the jobs of archivers may still delete objects; the next sweep tries again", zap.Error(err))
	}
	var behind *sweepstate.Behind
	if len(o.Behind) > 0 {
		behind = sweepstate.NewBehind(o.Restored)
		for _, l := range o.Behind {
			behind.Add(l.Partition, l.Reason)
		}
	}
	if err := sweepstate.NoteBehind(ctx, s.config.JS, behind); err != nil {
		s.config.Logger.Warn("which logs are older than the store could not be stored, so they may still take records; the next sweep tries again", zap.Error(err))
	}
}

// note keeps in NATS how a sweep has ended. One that has lost its lease does not know how the one after it
// has ended.
func (s *Sweeper) note(ctx context.Context, o sweep.Outcome) {
	var err error
	switch {
	case !s.lease.held():
		return
	case o.Reason == "":
		err = sweepstate.NoteComplete(ctx, s.config.JS)
	default:
		err = sweepstate.NoteEnded(ctx, s.config.JS, time.Now(), o.Reason, o.Partition)
	}
	if err != nil {
		s.config.Logger.Debug("how a sweep has ended could not be stored; the next one tries again", zap.Error(err))
	}
}

// log logs the end of a sweep. A reason is logged when it is new; an alarm each time.
func (s *Sweeper) log(o sweep.Outcome, took time.Duration) {
	fields := []zap.Field{
		zap.Uint64("generation", o.Generation), zap.Uint64("bound", o.Bound), zap.Int64("deleted", o.Deleted),
		zap.Int64("bytes", o.DeletedBytes), zap.Duration("took", took),
	}
	if o.Partition != "" {
		fields = append(fields, zap.String("partition", o.Partition))
	}
	if o.Holding != "" {
		fields = append(fields, zap.String("lowest watermark", o.Holding))
	}
	was := s.reason
	s.reason = o.Reason
	if len(o.Behind) > 0 {
		fields = append(fields, zap.Int("read-only partitions", len(o.Behind)))
	}
	switch log := s.config.Logger; {
	case o.Alarm != sweep.NoAlarm:
		log.Error("nothing is deleted from the object store, because the logs and the store are not from the same time; see \"Backups\" in docs/operation.md",
			append(fields, zap.String("reason", o.Reason))...)
	case o.Reason != "" && o.Reason != was:
		log.Warn("a sweep of the object store has ended early", append(fields, zap.String("reason", o.Reason))...)
	case o.Reason == "" && was != "":
		log.Info("a sweep of the object store is complete again", fields...)
	default:
		log.Debug("a sweep of the object store has ended", append(fields, zap.String("reason", o.Reason), zap.Bool("full", o.Full), zap.Int64("listed", o.Listed))...)
	}
}

// Readings are the metrics of a sweeper, in the order of Values.
var Readings = []telemetry.Reading{
	sweeps("complete"), sweeps("ended"),
	{Name: "laneway.archiver.swept", Description: "Objects that sweeps have deleted", Unit: "{object}", Counter: true},
	{Name: "laneway.archiver.swept.bytes", Description: "Bytes of the objects that sweeps have deleted", Unit: "By", Counter: true},
	{Name: "laneway.archiver.sweep.waiting", Description: "Objects that no manifest names, and that the last sweep of this archiver has left because they are not old enough", Unit: "{object}"},
	{Name: "laneway.archiver.sweep.waiting.bytes", Description: "Bytes of these objects", Unit: "By"},
	{Name: "laneway.archiver.sweep.took", Description: "How long the last sweep of this archiver took", Unit: "ms"},
	{Name: "laneway.archiver.sweep.last", Description: "When a sweep of this archiver was complete, in Unix seconds; 0 if none was", Unit: "s"},
	{Name: "laneway.archiver.sweep.bound", Description: "The generation below which the last sweep of this archiver has deleted objects", Unit: "{generation}"},
	{Name: "laneway.archiver.sweep.generation", Description: "The generation of the last sweep of this archiver", Unit: "{generation}"},
	{Name: "laneway.archiver.sweep.incomplete.since", Description: "When the first sweep of this archiver has ended early since its last complete one, in Unix seconds; 0 if none has", Unit: "s"},
	alarm(sweep.LogOlder), alarm(sweep.StoreOlder),
}

func sweeps(result string) telemetry.Reading {
	return telemetry.Reading{
		Name: "laneway.archiver.sweeps", Description: "Sweeps of the object store, by result", Unit: "{sweep}", Counter: true,
		Attributes: []attribute.KeyValue{attribute.String("result", result)},
	}
}

func alarm(what sweep.Alarm) telemetry.Reading {
	return telemetry.Reading{
		Name: "laneway.archiver.sweep.alarm", Description: "1 if the last sweep of this archiver has noticed that the logs and the store are not from the same time", Unit: "{alarm}",
		Attributes: []attribute.KeyValue{attribute.String("reason", words(what))},
	}
}

func seconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// Values returns what the readings are.
func (s *Sweeper) Values() []int64 {
	t := s.Stats()
	values := []int64{
		int64(t.Complete), int64(t.Ended), t.Deleted, t.DeletedBytes, t.Last.Orphans, t.Last.OrphanBytes,
		t.Took.Milliseconds(), seconds(t.LastComplete), int64(t.Last.Bound), int64(t.Last.Generation), seconds(t.EndedSince), 0, 0,
	}
	switch t.Last.Alarm {
	case sweep.LogOlder:
		values[len(values)-2] = 1
	case sweep.StoreOlder:
		values[len(values)-1] = 1
	}
	return values
}
