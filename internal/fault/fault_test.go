package fault

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func parse(t *testing.T, seed int64, specs ...string) *Faults {
	t.Helper()
	faults, err := Parse(specs, seed)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

func delays(faults *Faults, n int) []time.Duration {
	drawn := make([]time.Duration, n)
	for i := range drawn {
		drawn[i] = faults.Delay()
	}
	return drawn
}

func TestFixedDelayIsTheSameForEveryUpload(t *testing.T) {
	for _, delay := range delays(parse(t, 1, "stage.delay=50ms"), 100) {
		if delay != 50*time.Millisecond {
			t.Fatalf("delay is %v, want 50ms", delay)
		}
	}
}

func TestUniformDelayFillsItsRange(t *testing.T) {
	const low, high, n = 50 * time.Millisecond, 250 * time.Millisecond, 10_000
	var sum time.Duration
	var quarters [4]int
	for _, delay := range delays(parse(t, 7, "stage.delay=uniform(50ms,250ms)"), n) {
		if delay < low || delay > high {
			t.Fatalf("delay %v is outside of %v to %v", delay, low, high)
		}
		sum += delay
		quarters[min(3, int(4*(delay-low)/(high-low)))]++
	}
	if mean := sum / n; mean < 145*time.Millisecond || mean > 155*time.Millisecond {
		t.Errorf("mean delay is %v, want about 150ms", mean)
	}
	for i, count := range quarters {
		if count < n/4-n/40 || count > n/4+n/40 {
			t.Errorf("quarter %d of the range has %d of %d delays", i, count, n)
		}
	}
}

func TestFailHasTheGivenProbability(t *testing.T) {
	const n = 100_000
	for spec, want := range map[string]float64{
		"stage.fail=0": 0, "stage.fail=0.01": 0.01, "stage.fail=0.5": 0.5, "stage.fail=1": 1,
	} {
		faults := parse(t, 3, spec)
		failures := 0
		for range n {
			if faults.Fail() {
				failures++
			}
		}
		got := float64(failures) / n
		if exact := want == 0 || want == 1; exact && got != want || got < 0.9*want || got > 1.1*want {
			t.Errorf("%s: %v of the objects fail", spec, got)
		}
	}
}

func TestTheSameSeedDrawsTheSame(t *testing.T) {
	specs := []string{"stage.delay=uniform(0,200ms)", "stage.fail=0.3"}
	first, second, other := parse(t, 42, specs...), parse(t, 42, specs...), parse(t, 43, specs...)
	for i := range 1000 {
		a, b := first.Fail(), second.Fail()
		if a != b {
			t.Fatalf("draw %d of Fail differs", i)
		}
	}
	a, b, c := delays(first, 1000), delays(second, 1000), delays(other, 1000)
	if !slices.Equal(a, b) {
		t.Error("delays of one seed differ")
	}
	if slices.Equal(a, c) {
		t.Error("delays of two seeds are the same")
	}
}

func TestDrawsOfOneKindDoNotDisturbTheOther(t *testing.T) {
	specs := []string{"stage.delay=uniform(0,200ms)", "stage.fail=0.3"}
	alone, mixed := parse(t, 42, specs...), parse(t, 42, specs...)
	for i := range 1000 {
		mixed.Fail()
		if a, b := alone.Delay(), mixed.Delay(); a != b {
			t.Fatalf("delay %d is %v, but %v with Fail drawn in between", i, a, b)
		}
	}
}

func TestUploadsShareTheBandwidth(t *testing.T) {
	faults := parse(t, 1, "store.bandwidth=10MB/s")
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration // since the step before
		bytes int64
		want  time.Duration
	}{
		{0, 1_000_000, 100 * time.Millisecond},
		{0, 1_000_000, 200 * time.Millisecond},                      // queues behind the first
		{50 * time.Millisecond, 0, 0},                               // nothing to transfer
		{0, 500_000, 200 * time.Millisecond},                        // 150 ms are left before it
		{time.Hour, 1_000_000, 100 * time.Millisecond},              // idle time is not saved up
		{100 * time.Millisecond, 2_000_000, 200 * time.Millisecond}, // just free again
	} {
		now = now.Add(step.after)
		if got := faults.Bandwidth(now, step.bytes); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestHugeUploadsDoNotOverflowTheBandwidth(t *testing.T) {
	faults := parse(t, 1, "store.bandwidth=1B/s")
	now := time.Unix(1000, 0)
	last := time.Duration(0)
	for range 100 {
		wait := faults.Bandwidth(now, 1<<62)
		if wait <= last {
			t.Fatalf("wait is %v after %v", wait, last)
		}
		last = wait
	}
}

func TestConcurrentUploadsGetEachDrawOnce(t *testing.T) {
	specs := []string{"stage.delay=uniform(0,200ms)", "stage.fail=0.5", "store.bandwidth=1GB/s"}
	const workers, each = 16, 200
	want := delays(parse(t, 9, specs...), workers*each)

	faults := parse(t, 9, specs...)
	drawn := make([][]time.Duration, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for range each {
				faults.Fail()
				faults.Bandwidth(time.Unix(0, 0), 1)
				drawn[worker] = append(drawn[worker], faults.Delay())
			}
		})
	}
	group.Wait()
	got := slices.Concat(drawn...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Error("concurrent draws are not those of the seed")
	}
}
