// Package fault makes staging slow and unreliable, for tests. It is enabled by the flag
// --fault, and MUST NOT be used in production.
//
// The settings, each given at most once:
//
//	stage.delay=50ms                a fixed delay per upload
//	stage.delay=uniform(0,200ms)    a random delay per upload, evenly spread
//	stage.fail=0.01                 probability that staging an object fails for
//	                                good, so that every batch in it is refused
//	store.bandwidth=20MB/s          rate that all uploads share
//
// The package only decides. The caller waits and fails.
package fault

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Faults decides about uploads. A nil or zero Faults injects nothing. All methods are safe
// for concurrent use.
//
// With the same seed, the n-th Delay and the n-th Fail are always the same. They are drawn
// independently of each other. The order of the calls decides which upload gets which draw.
type Faults struct {
	delay     delay
	fail      probability
	bandwidth pipe
}

// Delay draws the delay of the next upload.
func (f *Faults) Delay() time.Duration {
	if f == nil {
		return 0
	}
	return f.delay.draw()
}

// Fail draws whether staging the next object fails permanently.
func (f *Faults) Fail() bool {
	return f != nil && f.fail.draw()
}

// Bandwidth returns how long an upload of this size, which starts now, must take at the shared
// rate. Uploads get the rate one after the other, in the order of their calls.
func (f *Faults) Bandwidth(now time.Time, bytes int64) time.Duration {
	if f == nil {
		return 0
	}
	return f.bandwidth.take(now, bytes)
}

// delay draws evenly from low to high, both included.
type delay struct {
	low, high time.Duration
	source    *source
}

func (d *delay) draw() time.Duration {
	if d.low == d.high {
		return d.low
	}
	return d.low + time.Duration(d.source.upTo(uint64(d.high-d.low)))
}

// probability draws true with a chance from 0 to 1.
type probability struct {
	chance float64
	source *source
}

func (p *probability) draw() bool {
	return p.chance > 0 && p.source.unit() < p.chance
}

// source is a seeded source of random numbers that goroutines may share.
type source struct {
	mutex  sync.Mutex
	random *rand.Rand
}

// newSource returns the source of one stream of draws; streams of one seed are
// independent of each other.
func newSource(seed int64, stream uint64) *source {
	return &source{random: rand.New(rand.NewPCG(uint64(seed), stream))}
}

// upTo returns a number from 0 to highest, both included.
func (s *source) upTo(highest uint64) uint64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.random.Uint64N(highest + 1)
}

// unit returns a number from 0 up to but not including 1.
func (s *source) unit() float64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.random.Float64()
}

// pipe is a token bucket that stores no tokens: unused bandwidth is lost.
type pipe struct {
	rate float64 // bytes per second; 0 is no limit

	mutex sync.Mutex
	free  time.Time // when all that was taken is through
}

func (p *pipe) take(now time.Time, bytes int64) time.Duration {
	if p.rate == 0 || bytes <= 0 {
		return 0
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(clampSeconds(float64(bytes) / p.rate))
	return p.free.Sub(now)
}

// clampSeconds converts seconds to a Duration, at most a year, so that sums of
// waits stay far from overflowing.
func clampSeconds(seconds float64) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(math.Min(seconds, year.Seconds()) * float64(time.Second))
}
