package process

import "testing"

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ budget, live, want int64 }{
		{576 * mib, 10 * mib, 768 * mib},
		{576 * mib, 576 * mib, 768 * mib},
		{576 * mib, 1200 * mib, 1600 * mib},
	} {
		if got := memoryLimit(c.budget, c.live); got != c.want {
			t.Errorf("a budget of %d and %d in use: limit %d, want %d", c.budget, c.live, got, c.want)
		}
	}
}

func TestLiveHeap(t *testing.T) {
	if liveHeap() < 0 {
		t.Error("a heap of less than nothing")
	}
}
