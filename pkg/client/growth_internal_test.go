package client

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// path is a path to a store: each answer takes at least latency, and at most bandwidth bytes a
// second get through.
type path struct {
	latency   time.Duration
	bandwidth float64
}

// run lets a producer with five batches in flight and more records than it can send use a path
// for a while, and returns the size of its batches then, and the bytes a second at the end.
func (p path) run(g *growth, now *time.Time, d time.Duration) (size int, rate float64) {
	end := now.Add(d)
	for now.Before(end) {
		window := 5 * g.size
		took := max(p.latency, time.Duration(float64(window)/p.bandwidth*float64(time.Second)))
		*now = now.Add(took)
		rate = float64(window) / took.Seconds()
		for range 5 {
			g.acked(*now, took, true)
		}
	}
	return g.size, rate
}

var began = time.Unix(1_000_000, 0)

func TestBatchesGrowWhileAnswersAreSlow(t *testing.T) {
	g, now := newGrowth(256<<10, 4<<20, 5), began
	size, rate := path{500 * time.Millisecond, 1e12}.run(&g, &now, 20*time.Second)
	if size != 4<<20 || rate < 40<<20 {
		t.Errorf("batches have %d bytes, %.0f bytes a second; want 4 MiB and 40 MiB a second", size, rate)
	}
}

func TestBatchesStaySmallWhileAnswersAreFast(t *testing.T) {
	g, now := newGrowth(256<<10, 4<<20, 5), began
	if size, _ := (path{20 * time.Millisecond, 1e12}).run(&g, &now, 20*time.Second); size != 256<<10 {
		t.Errorf("batches have %d bytes, want 256 KiB", size)
	}
}

func TestBatchesDoNotGrowBeyondWhatIsOfUse(t *testing.T) {
	g, now := newGrowth(256<<10, 64<<20, 5), began
	p := path{500 * time.Millisecond, 10 << 20}
	largest := 0
	for range 100 {
		size, _ := p.run(&g, &now, time.Second)
		largest = max(largest, size)
	}
	// 1 MiB fills the path. A try of the double now and then shows that it does not help.
	if largest > 4<<20 {
		t.Errorf("batches have grown to %d bytes, at most 4 MiB are of use", largest)
	}
}

func TestUselessGrowthIsTriedAgainSoon(t *testing.T) {
	g, now := newGrowth(256<<10, 4<<20, 5), began
	narrow := path{200 * time.Millisecond, 6 << 20} // nothing is gained by larger batches
	narrow.run(&g, &now, 20*time.Second)
	if size, _ := (path{200 * time.Millisecond, 1e12}).run(&g, &now, 10*time.Second); size != 4<<20 {
		t.Errorf("10 s after the path has become wide, batches have %d bytes, want 4 MiB", size)
	}
}

func TestUselessGrowthIsTriedAgainSoonAfterVerySlowAnswers(t *testing.T) {
	g, now := newGrowth(256<<10, 4<<20, 5), began
	path{300 * time.Millisecond, 6 << 20}.run(&g, &now, 20*time.Second)
	path{30 * time.Second, 1e12}.run(&g, &now, 30*time.Second)
	path{30 * time.Second, 1e5}.run(&g, &now, 120*time.Second)
	if size, _ := (path{300 * time.Millisecond, 1e12}).run(&g, &now, 10*time.Second); size != 4<<20 {
		t.Errorf("10 s after answers have become faster, batches have %d bytes, want 4 MiB", size)
	}
}

func TestBatchesShrinkWhenNoneWaits(t *testing.T) {
	g, now := newGrowth(256<<10, 4<<20, 5), began
	path{500 * time.Millisecond, 1e12}.run(&g, &now, 20*time.Second)
	for range 100 {
		now = now.Add(500 * time.Millisecond)
		g.acked(now, 500*time.Millisecond, false)
	}
	if g.size != 256<<10 {
		t.Errorf("batches have %d bytes, want 256 KiB", g.size)
	}
}

func TestFixedSizeDoesNotGrow(t *testing.T) {
	g, now := newGrowth(1000, 0, 5), began
	if size, _ := (path{500 * time.Millisecond, 1e12}).run(&g, &now, 20*time.Second); size != 1000 {
		t.Errorf("batches have %d bytes, want 1000", size)
	}
}

// stagerPath is the path to a stager with a remote store: batches are gathered into objects, which
// close when they are full or have lingered, and the batches of an object are answered together.
type stagerPath struct {
	random  *rand.Rand
	flights []flight // in the order in which they were sent
}

type flight struct {
	sent time.Time
	size int
}

// answer answers the batches of the next object, and sends as many new ones. Some of them were
// filled before the size has changed.
func (p *stagerPath) answer(g *growth, now time.Time) time.Time {
	const full, linger = 4 << 20, 250 * time.Millisecond
	n, bytes, closed := 0, 0, p.flights[0].sent.Add(linger)
	for n < len(p.flights) && bytes < full && !p.flights[n].sent.After(closed) {
		bytes += p.flights[n].size
		n++
	}
	if bytes >= full {
		closed = p.flights[n-1].sent
	}
	put := 20*time.Millisecond + time.Duration(p.random.Int64N(int64(80*time.Millisecond)))
	if at := closed.Add(put); at.After(now) {
		now = at
	}
	answered := slices.Clone(p.flights[:n])
	p.flights = slices.Delete(p.flights, 0, n)
	for _, f := range answered {
		g.acked(now, now.Sub(f.sent), true)
		size := g.size
		if p.random.IntN(4) == 0 {
			size /= 2
		}
		p.flights = append(p.flights, flight{now, size})
	}
	return now
}

func TestBatchesGrowAlthoughAnswersArriveInBursts(t *testing.T) {
	for seed := range uint64(200) {
		g, now := newGrowth(256<<10, 4<<20, 5), began
		p := stagerPath{random: rand.New(rand.NewPCG(seed, 0))}
		for range 5 {
			p.flights = append(p.flights, flight{now, g.size})
		}
		for now.Before(began.Add(6*time.Second)) && g.size < 2<<20 {
			now = p.answer(&g, now)
		}
		if g.size < 2<<20 {
			t.Errorf("seed %d: after 6 s batches have %d bytes, want 2 MiB", seed, g.size)
		}
	}
}
