package fetch

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// unlimited is the window of a fetch that is paced but has no window.
const unlimited = math.MaxInt64 / 4

// pace is the flow control of a fetch: how many bytes may be sent, and whether the consumer
// still answers.
//
// A credit is the total number of bytes that the consumer has processed since the fetch
// started, not the number since the previous credit. So a lost credit does no harm: the next
// one includes it. Example: the consumer sends 1,000 and then 2,500, and the first message is
// lost. The fetch gets 2,500, and continues as if it had received both.
//
// A consumer that has vanished looks like a slow one, because no credit arrives from either.
// So the fetch sends heartbeats while it is idle or out of credit. A slow consumer answers
// them.
// Example: with a heartbeat of 5 s and a patience of 30 s, the last message is sent at 0 s,
// heartbeats follow at 5, 10, 15, 20 and 25 s, and the fetch ends at 30 s. If the consumer
// answers at 12 s and then no more, the first heartbeat without an answer is that of 15 s,
// and the fetch ends at 40 s.
type pace struct {
	window              int64
	spent               int64 // payload bytes sent since the fetch started
	processed           int64 // those of them that the consumer has granted again
	heartbeat, patience time.Duration

	heard           time.Time // last control message of the consumer
	sent            time.Time // last message to the consumer, of any kind
	lastHeartbeat   time.Time
	unansweredSince time.Time // of the first heartbeat without an answer; zero if there is none
	unanswered      int       // messages sent since the last control message
}

func newPace(window int64, s Settings, now time.Time) pace {
	if window == 0 {
		window = unlimited
	}
	return pace{window: window, heartbeat: s.Heartbeat, patience: s.CreditTimeout, heard: now, sent: now}
}

// credit returns how many bytes may be sent. It is negative after a batch that exceeded it.
func (p *pace) credit() int64 { return p.window - (p.spent - p.processed) }

// grant applies the credit of a control message; false if the message is not a number of
// bytes. Credit never exceeds the window, whatever the consumer grants. An older message that
// arrives late does not lower it.
func (p *pace) grant(data []byte, now time.Time) bool {
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n < 0 {
		return false
	}
	p.processed = max(p.processed, min(n, p.spent))
	p.heard, p.unanswered, p.unansweredSince = now, 0, time.Time{}
	return true
}

// spend takes the credit for a message.
func (p *pace) spend(bytes int, now time.Time) {
	p.spent += int64(bytes)
	p.sent = now
	p.unanswered++
}

// spendMore takes the credit for bytes that are added to the last message.
func (p *pace) spendMore(bytes int) { p.spent += int64(bytes) }

// mayReceive reports whether a batch, of any size, may be sent.
func (p *pace) mayReceive() bool { return p.credit() > 0 && p.unanswered < MaxUnanswered }

// due is what a waiting fetch has to do.
type due uint8

const (
	nothing due = iota
	heartbeat
	consumerGone // end the fetch
)

// next returns what is due now, or else the time at which something will be. A heartbeat is
// due when nothing was sent, or no control message received, for its interval; and at once
// when MaxUnanswered messages are unanswered.
func (p *pace) next(now time.Time) (due, time.Time) {
	at := p.heard
	if p.sent.Before(at) {
		at = p.sent
	}
	if p.lastHeartbeat.After(at) {
		at = p.lastHeartbeat
	}
	at = at.Add(p.heartbeat)
	if p.unanswered >= MaxUnanswered && p.unansweredSince.IsZero() {
		at = now
	}
	if !p.unansweredSince.IsZero() {
		// The consumer was silent for one interval before the first heartbeat was sent.
		end := p.unansweredSince.Add(max(p.patience-p.heartbeat, p.heartbeat))
		if !now.Before(end) {
			return consumerGone, now
		}
		if end.Before(at) {
			at = end
		}
	}
	if now.Before(at) {
		return nothing, at
	}
	return heartbeat, now
}

// heartbeatSent records that a heartbeat was sent.
func (p *pace) heartbeatSent(now time.Time) {
	p.sent, p.lastHeartbeat = now, now
	if p.unansweredSince.IsZero() {
		p.unansweredSince = now
	}
}
