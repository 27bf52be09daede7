package bench

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestTargetsArePartitionsTopicByTopic(t *testing.T) {
	l := (&Plan{Topics: 3, Partitions: 4}).layout()
	if topic, partition := l.topicOf(7); l.targets() != 12 || topic != 1 || partition != 3 {
		t.Errorf("target 7 of %d is partition %d of topic %d", l.targets(), partition, topic)
	}
	if got, want := l.spread(4), []int{0, 3, 6, 9}; !slices.Equal(got, want) {
		t.Errorf("4 targets at even distances are %v, want %v", got, want)
	}
	if all := l.spread(12); all[0] != 0 || all[11] != 11 {
		t.Errorf("all targets are %v", all)
	}
}

func TestOnlyTopicsOfOnePartitionAreBound(t *testing.T) {
	for _, c := range []struct {
		topics, partitions int
		want               bool
	}{
		{0, 1, false}, {0, 2, false}, {2, 0, true}, {2, 1, true}, {2, 2, false},
	} {
		p := Plan{Topics: c.topics, Partitions: c.partitions}
		if got := p.layout().bound; got != c.want {
			t.Errorf("%d topics of %d partitions: bound is %v", c.topics, c.partitions, got)
		}
	}
}

func TestEachReturnsTheFirstErrorOrThatOfItsContext(t *testing.T) {
	failed := errors.New("failed")
	var done atomic.Int64
	err := each(t.Context(), 100, 1, func(_ context.Context, i int) error {
		done.Add(1)
		if i == 2 {
			return failed
		}
		return nil
	})
	if !errors.Is(err, failed) || done.Load() > 4 {
		t.Errorf("%d done, error %v", done.Load(), err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failed)
	if err := each(ctx, 100, 1, func(context.Context, int) error { return nil }); !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
}

func TestBytesInFlightAreBoundedOverPartitions(t *testing.T) {
	for _, c := range []struct{ one, partitions, want int }{
		{320 << 10, 1, 320 << 10}, {320 << 10, 2, 640 << 10}, {320 << 10, 256, maxSpreadBytes}, {8 << 20, 4, 8 << 20},
	} {
		if got := spreadBytes(c.one, c.partitions); got != c.want {
			t.Errorf("%d over %d partitions: %d, want %d", c.one, c.partitions, got, c.want)
		}
	}
}
