package produce

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/transport"
)

const (
	// maxBacklog is how much may wait in this process, and how much in the NATS server,
	// before the subjects of the busiest partitions are left. The server disconnects a
	// client that has more than max_pending before it, and everything before it is lost.
	maxBacklog = 16 << 20
	// messageOverhead is what a small message costs besides its body, about.
	messageOverhead = 400
	// measureEvery is how often a busy connection is looked at.
	measureEvery = 10 * time.Millisecond
	// idleMeasurements is for how many looks nothing happens before looking ends.
	idleMeasurements = 50
)

// weight is what messages cost in memory, about.
func weight(messages, bytes int64) int64 { return messages*messageOverhead + bytes }

// backlogGuard bounds what waits to be admitted or rejected. Neither NATS nor its
// client holds back a producer that is too fast: the client drops what it has no room
// for, and the server disconnects a client that does not read fast enough, with
// everything that waits for it. Before either happens the guard leaves the subjects of
// the busiest partitions. The server then answers their requests with "no responders".
//
// It costs nothing while little arrives.
type backlogGuard struct {
	conn *transport.Connection

	active atomic.Bool    // the goroutine that watches runs
	stop   chan struct{}  // closed at the end
	wait   sync.WaitGroup // for all goroutines
	pauses atomic.Uint64
	burst  transport.Burst

	mu      sync.Mutex
	intakes map[*intake]int64 // with what each had handled when the backlog was last measured
	dropped uint64            // by intakes that are closed
}

func newBacklogGuard(conn *transport.Connection) *backlogGuard {
	return &backlogGuard{conn: conn, stop: make(chan struct{}), intakes: make(map[*intake]int64)}
}

// close must be called after all intakes are closed.
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
	g.dropped += in.dropped()
}

// lost returns how many requests found no room.
func (g *backlogGuard) lost() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	lost := g.dropped
	for in := range g.intakes {
		lost += in.dropped()
	}
	return lost
}

// arrived is called for each request.
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
	s := g.conn.Conn().Stats()
	return weight(int64(s.InMsgs), int64(s.InBytes))
}

// ping is a ping whose answer waits behind the backlog in the server.
type ping struct {
	received int64 // when it was asked
	answered chan struct{}
	acted    bool // subjects were left because of it
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
		_ = g.conn.Flush(time.Second) // there is no backlog to speak of without a connection
	})
	return q
}

// mark notes what the intakes have handled so far.
func (g *backlogGuard) mark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for in := range g.intakes {
		g.intakes[in] = in.handled.Load() + in.waiting()
	}
}

// pauseFull pauses the intakes in which too much waits.
func (g *backlogGuard) pauseFull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for in := range g.intakes {
		if in.waiting() > maxBacklog {
			g.pause(in, "this process")
		}
	}
}

// pauseBusiest pauses the intakes that got at least half as much as the busiest since
// the mark.
func (g *backlogGuard) pauseBusiest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := make(map[*intake]int64, len(g.intakes))
	most := int64(0)
	for in, before := range g.intakes {
		got[in] = in.handled.Load() + in.waiting() - before
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
		in.log.Warn("requests arrive faster than they can be answered; the partition's subjects are left again and again "+
			"until what waits is answered, and NATS answers with \"no responders\" meanwhile", zap.String("too_much_waits_in", where))
	}
}
