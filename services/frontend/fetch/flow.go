package fetch

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// unlimited is the window of a fetch that is paced but has no window.
const unlimited = math.MaxInt64 / 4

// account is the credit of one fetch. It is safe for concurrent use: the
// consumer's messages add to it, the fetch takes from it.
type account struct {
	window int64
	wake   chan struct{} // holds a token when the consumer said something

	mu     sync.Mutex
	credit int64     // negative when a batch was larger than what was left
	words  uint64    // messages of the consumer
	heard  time.Time // of the last one
}

func newAccount(window int64, now time.Time) *account {
	if window == 0 {
		window = unlimited
	}
	return &account{window: window, credit: window, heard: now, wake: make(chan struct{}, 1)}
}

// grant takes a message of the consumer; false if it is not a credit. Credit
// never exceeds the window, whatever the consumer says.
func (a *account) grant(data []byte, now time.Time) bool {
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n < 0 {
		return false
	}
	a.mu.Lock()
	a.credit += min(n, a.window-a.credit)
	a.words++
	a.heard = now
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return true
}

func (a *account) spend(n int64) {
	a.mu.Lock()
	a.credit -= n
	a.mu.Unlock()
}

// read returns the credit, the number of the consumer's messages, and when the last came.
func (a *account) read() (credit int64, words uint64, heard time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.credit, a.words, a.heard
}

// pace decides when a fetch that waits sends a heartbeat and when it gives its
// consumer up. It belongs to the fetch's goroutine; time is passed in.
type pace struct {
	heartbeat, patience time.Duration

	sent    time.Time // last message of any kind
	beat    time.Time // last heartbeat
	asked   time.Time // first heartbeat that is not answered; zero is none
	unheard int       // messages sent since the consumer was heard
	words   uint64    // of the consumer, as last seen
}

// verdict is what a pace says.
type verdict uint8

const (
	quiet verdict = iota
	beat
	silent // the consumer is gone
)

// listen takes note of what the consumer has said.
func (p *pace) listen(words uint64) {
	if words != p.words {
		p.words, p.unheard, p.asked = words, 0, time.Time{}
	}
}

// next returns what is due now, else when to ask again. A heartbeat is due when
// nothing was sent for its interval, or nothing was heard.
func (p *pace) next(now, heard time.Time) (verdict, time.Time) {
	due := heard
	if p.sent.Before(due) {
		due = p.sent
	}
	if p.beat.After(due) {
		due = p.beat
	}
	due = due.Add(p.heartbeat)
	if p.unheard >= maxUnheard && p.asked.IsZero() {
		due = now
	}
	if !p.asked.IsZero() {
		// Silence began one heartbeat before the first one was sent.
		end := p.asked.Add(max(p.patience-p.heartbeat, p.heartbeat))
		if !now.Before(end) {
			return silent, now
		}
		if end.Before(due) {
			due = end
		}
	}
	if now.Before(due) {
		return quiet, due
	}
	return beat, now
}

// beaten notes that a heartbeat was sent.
func (p *pace) beaten(now time.Time) {
	p.sent, p.beat = now, now
	if p.asked.IsZero() {
		p.asked = now
	}
}
