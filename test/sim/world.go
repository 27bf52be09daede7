package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	replicator "laneway.dev/services/replicator/core"
)

// Times of a run. They are shorter than in production, in the same proportions, so
// that a run of seconds sees what takes minutes there.
const (
	heartbeat      = 200 * time.Millisecond
	stageTimeout   = 800 * time.Millisecond
	deadline       = 4 * time.Second
	laneExpiry     = 5 * time.Second
	appendTimeout  = time.Second
	attemptTimeout = 1500 * time.Millisecond
	// activeTime is how long faults happen; calmTime how long everything may take
	// to resolve once they have ended.
	activeTime = 12 * time.Second
	calmTime   = 60 * time.Second
)

var (
	partition         = protocol.Partition{Topic: "orders", TopicID: 77}
	sequencerSubject  = messages.SequencerSubject(partition)
	replicatorSubject = messages.ReplicatorSubject(partition)
	committedSubject  = messages.CommittedSubject(partition)
)

var beginning = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// world is one run. It belongs to one goroutine.
type world struct {
	config    Config
	rng       *rand.Rand
	now       time.Time
	agenda    agenda
	calm      bool // faults have ended
	calmSince time.Time
	idleSince time.Time // nothing is left to be done

	processes []*process // in the order of their start
	started   int
	registry  registry
	links     map[link]time.Time
	cuts      map[link]time.Time // pairs that do not hear each other, until when

	log       *log
	store     store
	snapshots map[uint64][]byte
	mark      replicator.FoundMark
	clients   []*client
	checks    checks
	counts    Counts
	trace     *Trace
	planned   int // disturbances
	violation error

	losses     [2]time.Time       // the last ones, of a mix that has few
	slowLane   int                // the client whose batches are staged slowly; -1 is none
	messageIDs int                // that were used
	newest     *messages.Snapshot // of those that were stored
}

// after plans something.
func (w *world) after(d time.Duration, do func()) {
	w.agenda.push(w.elapsed()+d, do)
}

// next lets the next event happen.
func (w *world) next() {
	e := w.agenda.pop()
	w.now = beginning.Add(e.at)
	w.counts.Events++
	e.do()
}

// violated notes the first thing that must never be.
func (w *world) violated(format string, args ...any) {
	if w.violation == nil {
		w.violation = fmt.Errorf(format, args...)
		w.say("VIOLATION: %v", w.violation)
	}
}

// chance draws true with a probability.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// fault is chance while there are faults.
func (w *world) fault(p float64) bool { return !w.calm && w.chance(p) }

// between draws a duration, evenly.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

func pick[T any](w *world, from []T) T { return from[w.rng.IntN(len(from))] }

func (w *world) elapsed() time.Duration { return w.now.Sub(beginning) }

// say writes a line of the trace.
func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		w.trace.line(w.elapsed(), format, args...)
	}
}
