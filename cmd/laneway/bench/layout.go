package bench

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"laneway.dev/pkg/protocol"
)

// layout is how the records of a measurement are spread. Its targets are the partitions of
// all topics, numbered topic by topic. On JetStream each target is a stream.
type layout struct {
	topics     int
	partitions int  // of each topic
	bound      bool // topics have subjects of their own, which needs topics of one partition
}

// single is the layout of one partition.
var single = layout{topics: 1, partitions: 1}

// layout returns the layout of the plan.
func (p *Plan) layout() layout {
	return layout{topics: max(1, p.Topics), partitions: max(1, p.Partitions), bound: p.Topics > 0 && p.Partitions <= 1}
}

func (l layout) targets() int { return l.topics * l.partitions }

// topicOf returns the topic and the partition of a target.
func (l layout) topicOf(target int) (topic, partition int) {
	return target / l.partitions, target % l.partitions
}

// spread returns n of the targets, at even distances.
func (l layout) spread(n int) []int {
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = i * l.targets() / n
	}
	return chosen
}

// check returns why Laneway cannot have the layout, or nil.
func (l layout) check() error {
	switch {
	case l.partitions > protocol.MaxPartitions:
		return fmt.Errorf("--partitions %d is more than a topic can have, which is %d", l.partitions, protocol.MaxPartitions)
	case l.topics > protocol.MaxTopics:
		return fmt.Errorf("--topics %d is more than a Laneway can have, which is %d", l.topics, protocol.MaxTopics)
	case l.targets() > protocol.MaxAllPartitions:
		return fmt.Errorf("--topics %d with --partitions %d are %d partitions, more than a Laneway can have, which is %d",
			l.topics, l.partitions, l.targets(), protocol.MaxAllPartitions)
	}
	return nil
}

// spread describes over what records are spread; empty for one topic of one partition.
func (w *Settings) spread() string {
	switch {
	case w.Topics > 0 && w.Partitions > 1:
		return fmt.Sprintf("%s of %d partitions, or %d streams", count(w.Topics, "topic"), w.Partitions, w.Topics*w.Partitions)
	case w.Topics > 0:
		return count(w.Topics, "topic") + " with a subject each, or streams"
	case w.Partitions > 1:
		return fmt.Sprintf("%d partitions or streams", w.Partitions)
	}
	return ""
}

// setupWorkers bounds the requests that create, fill and count targets at the same time.
const setupWorkers = 16

// each calls do for all numbers below n, for up to limit of them at the same time. It
// returns the first error, or that of ctx.
func each(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for i := range n {
		if inner.Err() != nil {
			break
		}
		group.Go(func() error { return do(inner, i) })
	}
	return cmp.Or(group.Wait(), context.Cause(ctx))
}
