package partitionlog_test

import (
	"errors"
	"testing"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// continued returns what is known of the log of the next incarnation.
func (s *server) continued(t *testing.T) partitionlog.Found {
	t.Helper()
	next := partition
	next.Incarnation++
	logs, err := partitionlog.List(s.ctx, s.conn, s.js, partitionlog.Which{TopicID: partition.TopicID})
	must(t, err)
	if len(logs) != 1 || logs[0].Partition != next {
		t.Fatalf("found are %+v", logs)
	}
	return logs[0]
}

func TestAContinuedLogIsUsedOnceAnOwnerHasAppended(t *testing.T) {
	s := start(t)
	next := partition
	next.Incarnation++
	target, err := s.log(next).Continue(s.ctx, 1, 100)
	must(t, err)
	must(t, target.Append(s.ctx, entry(0, 0)))
	must(t, target.Append(s.ctx, entry(0, 2)))
	must(t, target.Flush(s.ctx))
	if f := s.continued(t); f.Finished || f.Used {
		t.Errorf("before it is finished: %+v", f)
	}
	must(t, target.Finish(s.ctx))
	if f := s.continued(t); !f.Finished || f.Used || f.Last != 101 {
		t.Errorf("before it is used: %+v", f)
	}
	_, err = s.log(next).Append(s.ctx, 101, messages.EncodeEntry(entry(2, 0)))
	must(t, err)
	if f := s.continued(t); !f.Finished || !f.Used || f.Last != 102 {
		t.Errorf("once it is used: %+v", f)
	}
}

func TestAnAttemptDiscardsOnlyItsOwnLog(t *testing.T) {
	s := start(t)
	next := partition
	next.Incarnation++
	first, err := s.log(next).Continue(s.ctx, 1, 100)
	must(t, err)
	must(t, first.Append(s.ctx, entry(0, 0)))
	must(t, first.Finish(s.ctx))
	must(t, s.log(next).Delete(s.ctx))
	second, err := s.log(next).Continue(s.ctx, 1, 200)
	must(t, err)
	must(t, second.Append(s.ctx, entry(0, 0)))
	must(t, first.Discard(s.ctx))
	s.continued(t)
	must(t, second.Finish(s.ctx))
	must(t, second.Discard(s.ctx))
	if logs, err := partitionlog.List(s.ctx, s.conn, s.js, partitionlog.Which{TopicID: partition.TopicID}); err != nil || len(logs) != 0 {
		t.Errorf("left are %+v, %v", logs, err)
	}
	must(t, second.Discard(s.ctx))
}

func TestASealedLogSaysSo(t *testing.T) {
	s, log := created(t, 1)
	must(t, log.Seal(s.ctx))
	if _, err := log.Append(s.ctx, 2, messages.EncodeEntry(entry(2, 1))); !errors.Is(err, partitionlog.ErrSealed) {
		t.Errorf("append: %v", err)
	}
	if end, err := log.Confirm(s.ctx, 2); err != nil || !end.Sealed {
		t.Errorf("its end is %+v, %v", end, err)
	}
}
