package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

func TestPartitionsKeepOrderOfOneProducer(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		d := deployment.Start(t, kind, stager("--fault", "stage.delay=uniform(0,50ms)"))
		const partitions, many = 3, 1000
		d.Output(d.Laneway(ctx, "topic", "create", "spread", "--partitions", fmt.Sprint(partitions)), nil)
		var lines []string
		for n := range many {
			lines = append(lines, fmt.Sprintf("%04d", n))
		}
		input := strings.NewReader(strings.Join(lines, "\n") + "\n")
		d.Output(d.Laneway(ctx, "produce", "spread", "--batch-bytes", "100"), input)

		var all []string
		for p := range partitions {
			got := strings.Fields(d.Output(d.Laneway(ctx, "consume", "spread", "--partition", fmt.Sprint(p)), nil))
			if len(got) == 0 || !slices.IsSorted(got) {
				t.Errorf("partition %d has %d lines, in order: %v", p, len(got), slices.IsSorted(got))
			}
			all = append(all, got...)
		}
		together := strings.Fields(d.Output(d.Laneway(ctx, "consume", "spread"), nil))
		for _, got := range [][]string{all, together} {
			slices.Sort(got)
			if !slices.Equal(got, lines) {
				t.Errorf("%d lines came back of %d", len(got), len(lines))
			}
		}
	})
}
