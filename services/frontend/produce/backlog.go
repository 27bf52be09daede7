package produce

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/transport"
)

const (
	// maxBacklog is how many bytes may wait in this process, and how many in the NATS
	// server, before the guard unsubscribes. The server disconnects a client for which more
	// than max_pending waits, and drops all of it.
	maxBacklog = 16 << 20
	// messageOverhead is the approximate memory of a small message without its body.
	messageOverhead = 400
	// measureEvery is how often the backlog of a busy connection is measured.
	measureEvery = 10 * time.Millisecond
	// idleMeasurements is how many measurements with little traffic end the watch.
	idleMeasurements = 50
)

// weight returns the approximate memory of messages, in bytes.
func weight(messages, bytes int64) int64 { return messages*messageOverhead + bytes }

// backlogGuard bounds the requests that wait to be admitted or rejected. Neither the NATS
// server nor its client slows down a producer that is too fast. The client drops messages
// beyond its buffer; the server disconnects a client that does not read fast enough, and
// drops everything that waits for it. Both lose requests without an answer. Before either
// happens, the guard unsubscribes from the subjects of the busiest partitions, and the
// server answers their requests with "no responders".
//
// The backlog in this process is known. That in the server is not, so the guard measures it
// with a ping: the answer arrives after everything that the server had queued before it. If
// more than maxBacklog is received before the answer, that much was queued.
//
// Example: two partitions receive 100 MB/s each and a third one 1 MB/s, and the process can
// handle 150 MB/s. The queue in the server grows by 50 MB/s. After about a third of a second
// it reaches 16 MiB, and the next ping shows it. The guard pauses the two busy partitions
// until their delivered requests are handled, and the third one loses nothing.
//
// While little arrives, the guard costs one atomic load per request, and does not look at each intake.
type backlogGuard struct {
	arrivals *arrivals

	active atomic.Bool    // whether watch is running
	stop   chan struct{}  // closed by close
	wait   sync.WaitGroup // for all goroutines
	pauses atomic.Uint64
	burst  transport.Burst

	mu      sync.Mutex
	intakes map[*intake]int64 // the weight that each had received at the last ping
}

func newBacklogGuard(arrivals *arrivals) *backlogGuard {
	return &backlogGuard{arrivals: arrivals, stop: make(chan struct{}), intakes: make(map[*intake]int64)}
}

// close ends the guard. It MUST be called after all intakes are closed.
func (g *backlogGuard) close() {
	close(g.stop)
	g.wait.Wait()
}

func (g *backlogGuard) add(in *intake) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.intakes[in] = 0
}

func (g *backlogGuard) remove(in *intake) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.intakes, in)
}

// arrived is called for each request. It starts the watch unless that is running.
func (g *backlogGuard) arrived() {
	if g.active.Load() || g.active.Swap(true) {
		return
	}
	g.wait.Go(g.watch)
}

// watch measures the backlog until little has arrived for a while.
func (g *backlogGuard) watch() {
	defer g.active.Store(false)
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	var before int64
	var asked *ping
	for idle := 0; idle < idleMeasurements; idle++ {
		select {
		case <-ticker.C:
		case <-g.stop:
			return
		}
		received := g.received()
		if received-before > maxBacklog/64 {
			idle = 0
			if asked == nil {
				asked = g.ping(received)
			}
		}
		before = received
		g.pauseFull()
		if asked != nil && received-asked.received > maxBacklog && asked.unanswered() {
			g.pauseBusiest()
			asked.acted = true
		}
		if asked != nil && !asked.unanswered() {
			asked = nil
		}
	}
}

// received returns the weight of all that the connection has received.
func (g *backlogGuard) received() int64 {
	s := g.arrivals.conn.Conn().Stats()
	return weight(int64(s.InMsgs), int64(s.InBytes))
}

// ping is a ping of the server. Its answer is queued after the backlog in the server.
type ping struct {
	received int64         // weight that the connection had received when it was sent
	answered chan struct{} // closed when the answer has arrived
	acted    bool          // whether intakes were paused because of it
}

func (q *ping) unanswered() bool {
	select {
	case <-q.answered:
		return false
	default:
		return !q.acted
	}
}

func (g *backlogGuard) ping(received int64) *ping {
	q := &ping{received: received, answered: make(chan struct{})}
	g.mark()
	g.wait.Go(func() {
		defer close(q.answered)
		_ = g.arrivals.conn.Flush(time.Second) // an error means that the connection is lost, and the backlog with it
	})
	return q
}

// mark records what each intake has received so far.
func (g *backlogGuard) mark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for in := range g.intakes {
		_, g.intakes[in] = in.queue.backlog()
	}
}

// pauseFull pauses the intakes with more than maxBacklog waiting.
func (g *backlogGuard) pauseFull() {
	if g.arrivals.waiting.Load() <= maxBacklog {
		return // there may be many thousands of intakes
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for in := range g.intakes {
		if waiting, _ := in.queue.backlog(); waiting > maxBacklog {
			g.pause(in, "this process")
		}
	}
}

// pauseBusiest pauses the intakes that have received at least half as much since the mark
// as the busiest one.
func (g *backlogGuard) pauseBusiest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := make(map[*intake]int64, len(g.intakes))
	most := int64(0)
	for in, before := range g.intakes {
		_, received := in.queue.backlog()
		got[in] = received - before
		most = max(most, got[in])
	}
	for in, weight := range got {
		if weight > 0 && weight >= most/2 {
			g.pause(in, "the NATS server")
		}
	}
}

func (g *backlogGuard) pause(in *intake, where string) {
	if !in.pause() {
		return
	}
	g.pauses.Add(1)
	if g.burst.Begins(time.Now()) {
		in.log.Warn("requests arrive faster than they can be answered; the frontend repeatedly unsubscribes from the partition's subjects "+
			"until the waiting requests are answered, and NATS answers new ones with \"no responders\" in the meantime", zap.String("too_much_waits_in", where))
	}
}
