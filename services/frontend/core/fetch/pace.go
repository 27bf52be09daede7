package fetch

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// unlimited is the window of a fetch that is paced but has no window.
const unlimited = math.MaxInt64 / 4

// pace is what a fetch knows of its consumer: how many bytes it may be sent, and
// whether it is alive.
type pace struct {
	window, credit      int64 // credit is negative when a batch was larger than what was left
	heartbeat, patience time.Duration

	heard           time.Time // last word of the consumer
	sent            time.Time // last message of any kind
	lastHeartbeat   time.Time // last heartbeat
	unansweredSince time.Time // first heartbeat that is not answered; zero if there is none
	unanswered      int       // messages sent since the last word
}

func newPace(window int64, s Settings, now time.Time) pace {
	if window == 0 {
		window = unlimited
	}
	return pace{window: window, credit: window, heartbeat: s.Heartbeat, patience: s.CreditTimeout, heard: now, sent: now}
}

// grant adds the credit of a word; false if the word is no credit. Credit never
// exceeds the window, whatever the consumer grants.
func (p *pace) grant(word []byte, now time.Time) bool {
	n, err := strconv.ParseInt(strings.TrimSpace(string(word)), 10, 64)
	if err != nil || n < 0 {
		return false
	}
	p.credit += min(n, p.window-p.credit)
	p.heard, p.unanswered, p.unansweredSince = now, 0, time.Time{}
	return true
}

// spend takes the credit for a message.
func (p *pace) spend(bytes int, now time.Time) {
	p.credit -= int64(bytes)
	p.sent = now
	p.unanswered++
}

// mayReceive reports whether the consumer may be sent a batch, of any size.
func (p *pace) mayReceive() bool { return p.credit > 0 && p.unanswered < MaxUnanswered }

// due is what a fetch that waits owes its consumer.
type due uint8

const (
	nothing due = iota
	heartbeat
	consumerGone // the consumer is gone
)

// next returns what is due, and otherwise when to ask again. A heartbeat is due when
// nothing was sent for its interval, or nothing was heard.
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
		// Silence began one heartbeat before the first one was sent.
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
