package fetch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

var (
	seeds = flag.Int("fetch.seeds", 3000, "number of seeds of the property test")
	from  = flag.Uint64("fetch.from", 0, "first seed of the property test")
)

// TestNoRecordIsMissedRepeatedOrReordered lets a consumer read random logs with gaps,
// holes and damage, which are archived and purged meanwhile, by one fetch after the other, each with random limits, credits and
// ends. The consumer trusts what it is sent: a record or a gap must come exactly where
// the one before ended, and a fetch that follows starts where the status says.
func TestNoRecordIsMissedRepeatedOrReordered(t *testing.T) {
	ends := make(map[string]int)
	for seed := *from; seed < *from+uint64(*seeds); seed++ {
		c := newConsumer(t, seed)
		c.read()
		if t.Failed() {
			t.Fatalf("run again with: -args -fetch.from=%d -fetch.seeds=1", seed)
		}
		for end, n := range c.ends {
			ends[end] += n
		}
	}
	for _, end := range []string{
		protocol.StatusEnd, protocol.StatusNoRecords, protocol.StatusCancelled, "CORRUPT", "UNAVAILABLE", "UNDELIVERABLE", "MAX_PAYLOAD_EXCEEDED",
		"CREDIT_TIMEOUT", "NOT_OWNER", "STORE_UNAVAILABLE",
	} {
		if ends[end] == 0 {
			t.Errorf("no fetch ended with %s: %v", end, ends)
		}
	}
}

func TestTheSameEventsGiveTheSameEffects(t *testing.T) {
	for seed := range uint64(200) {
		var traces [2]string
		for i := range traces {
			c := newConsumer(t, seed)
			c.read()
			traces[i] = c.trace.String()
		}
		if traces[0] != traces[1] {
			t.Fatalf("seed %d gives two traces", seed)
		}
	}
}

// What an offset of the log holds.
type content uint8

const (
	record  content = iota
	poison          // a record that cannot be sent alone
	large           // a record that no message can carry
	spoilt          // a record in a payload that is damaged
	absent          // a record in a payload that the store does not return now
	empty           // no record, as the log says
	dubious         // no record, as the log says right behind an entry that is gone or damaged
	gone            // a record in an entry that is gone or damaged
)

// consumer reads a random log.
type consumer struct {
	testing.TB
	rng   *rand.Rand
	log   *modelLog
	holds []content         // of each offset
	away  map[int64]Payload // what the store does not return now, by the offset of the batch
	trace strings.Builder

	at    int64      // the next offset
	since *time.Time // what the fetch asks for instead of at; at is where it starts then
	ends  map[string]int
	began bool // whether the first fetch has started

	request     protocol.FetchRequest
	limit       int64 // where the log ended when the fetch was asked for
	outstanding int64 // bytes without credit
	processed   int64 // all others of the fetch
	confirmed   int64 // everything below has arrived, as the consumer has said
	broken      bool  // whether the connection was
	returned    bool  // whether the store was away first
	noEntries   bool  // whether the store has returned no entries for a while
	known       Known // at the end
	messages    int64
	bytes       int64
	records     int64
}

func newConsumer(t testing.TB, seed uint64) *consumer {
	c := &consumer{TB: t, rng: rand.New(rand.NewPCG(seed, 14)), log: newLog(), away: make(map[int64]Payload), ends: make(map[string]int)}
	if c.rng.IntN(4) == 0 {
		c.log.first = 1 + c.rng.Uint64N(1000)
	}
	for range c.rng.IntN(30) {
		c.append()
		if c.chance(10) {
			c.moveHistory()
		}
	}
	return c
}

func (c *consumer) chance(n int) bool { return c.rng.IntN(n) == 0 }

// append adds an entry to the log, perhaps one that is damaged.
func (c *consumer) append() {
	l := c.log
	if c.chance(8) {
		gap := 1 + c.rng.IntN(5)
		l.skip(int64(gap))
		kind := empty
		if len(l.entries) > 0 && (l.at(l.last()).lost || l.at(l.last()).corrupt) {
			kind = dubious
		}
		for range gap {
			c.holds = append(c.holds, kind)
		}
	}
	first := l.next
	batches := make([][]protocol.Record, c.rng.IntN(4))
	var holds []content
	for i := range batches {
		size := 1 + c.rng.IntN(4)
		if c.chance(50) {
			size = 2*maxSend + c.rng.IntN(maxSend)
		}
		kind := record
		switch c.rng.IntN(40) {
		case 0:
			kind = spoilt
		case 1:
			kind = absent
		}
		for range size {
			r, holds1 := protocol.Record{Value: []byte(fmt.Sprint(first + int64(len(holds))))}, kind
			switch n := c.rng.IntN(100); {
			case kind != record:
			case n == 0:
				r.Headers, holds1 = []protocol.Header{{Name: "Line", Value: "one\r\ntwo"}}, poison
			case n == 1:
				holds1 = large
			}
			batches[i], holds = append(batches[i], r), append(holds, holds1)
		}
	}
	l.commitRecords(batches...)
	offset := first
	for _, b := range batches {
		switch holds[offset-first] {
		case spoilt:
			p := corruptPayload()
			if c.chance(2) {
				p = Payload{Bytes: []byte("no frame")}
			}
			l.payloadOf(offset, p)
		case absent:
			c.away[offset] = l.payloads[offset]
			l.payloadOf(offset, Payload{Err: protocol.NewError(protocol.CodeStoreUnavailable, "")})
		}
		offset += int64(len(b))
	}
	if e := l.at(l.last()); c.chance(12) {
		e.lost, e.corrupt = true, c.chance(2)
		e.lost = !e.corrupt
		for i := range holds {
			holds[i] = gone
		}
		if e.Gap > 0 {
			// Only the entry says that these offsets hold no records.
			for i := range e.Gap {
				c.holds[e.BaseOffset-1-i] = gone
			}
		}
	}
	c.holds = append(c.holds, holds...)
}

// read reads the log to its end, by one fetch after the other.
func (c *consumer) read() {
	for fetches := 0; ; fetches++ {
		if fetches > 500 {
			c.Errorf("the consumer makes no progress at offset %d", c.at)
			return
		}
		last := c.fetch()
		if c.Failed() {
			return
		}
		end := last.Code
		if last.Err != nil {
			end = last.Err.Code.Kind().Name
		}
		c.ends[end]++
		if !c.after(last, end) || c.Failed() {
			return
		}
		if c.chance(3) {
			c.damageHistory()
		}
	}
}

// after checks an end and moves to where the consumer continues. It skips what cannot
// be read, as an operator would do it by hand. It returns false if nothing is left.
func (c *consumer) after(last *Status, end string) bool {
	next := c.at
	switch {
	case c.since != nil:
		// A fetch that was still looking names where it stood. What comes there may be
		// too early.
		at := last.Next
		if last.GapFrom != Unknown {
			at = last.GapFrom
		}
		if end == "UNDELIVERABLE" {
			at--
		}
		c.startsAt(at, true)
		c.since = nil
		if next = last.Next; next == Unknown {
			next = c.at
		}
	case end == "UNDELIVERABLE":
		next++
	case last.GapTo != Unknown:
		next = last.GapTo + 1
	}
	wrong := last.Next != next && last.Next != Unknown || last.GapFrom != Unknown && last.GapFrom != c.at
	from, kind := c.at, c.kind(c.at)
	c.at = next
	switch end {
	case protocol.StatusEnd:
		full := c.request.MaxRecords > 0 && c.records >= c.request.MaxRecords || c.request.MaxBytes > 0 && c.messages > 0
		wrong = wrong || !full && (from < c.limit || c.request.Follow)
	case protocol.StatusNoRecords:
		wrong = wrong || c.records > 0 || c.request.MaxWait == 0
	case "UNDELIVERABLE":
		wrong = wrong || kind != poison || c.request.Frames
	case "MAX_PAYLOAD_EXCEEDED":
		wrong = wrong || kind != large && !c.request.Frames
		c.at = c.behind(from)
	case "STORE_UNAVAILABLE":
		if c.noEntries {
			wrong = wrong || c.paced()
			c.storeReturns()
			break
		}
		wrong = wrong || kind != absent && !c.returned || c.paced()
		c.at = c.behind(from)
	case "UNAVAILABLE":
		wrong = wrong || !c.broken
		c.at = c.confirmed // the messages behind it may be lost
	case "CORRUPT":
		wrong = wrong || c.notLost(last)
		c.at = max(c.at, last.Next)
	case protocol.StatusCancelled, "CREDIT_TIMEOUT", "NOT_OWNER":
	default:
		wrong = true
	}
	if wrong {
		c.Errorf("offset %d holds %d, the log ended at %d: the fetch ended with %s: %v", from, kind, c.limit, describe(last), last.Err)
	}
	return last.Next != Unknown && c.at < c.log.state().Offset
}

// notLost reports whether what a status calls lost is not.
func (c *consumer) notLost(s *Status) bool {
	switch {
	case s.GapFrom == Unknown:
		return false // the search for the start has given up
	case s.GapTo == Unknown:
		return s.GapFrom != c.known.Offset || c.known.Damage == nil
	}
	lost := false
	for o := s.GapFrom; o <= s.GapTo; o++ {
		k := c.kind(o)
		if k < spoilt || k == absent {
			return true
		}
		lost = lost || k != empty
	}
	return !lost
}

func (c *consumer) kind(offset int64) content {
	if offset >= int64(len(c.holds)) {
		return gone
	}
	return c.holds[offset]
}

// behind returns the offset behind the batch that has an offset, or, if the consumer
// takes single records, behind the one that is too large.
func (c *consumer) behind(offset int64) int64 {
	if c.kind(offset) == large && !c.request.Frames {
		return offset + 1
	}
	for i := range c.log.entries {
		next := c.log.entries[i].BaseOffset
		for _, b := range c.log.entries[i].Batches {
			if next += int64(b.Records); offset < next {
				return next
			}
		}
	}
	c.Errorf("no batch has offset %d", offset)
	return offset
}

// fetch makes one fetch from where the consumer is, and returns its last status.
func (c *consumer) fetch() *Status {
	r := c.start()
	r.saw = c.receive
	r.asks = func(q Question) { fmt.Fprintf(&c.trace, "%T %v\n", q, q) }
	defer func() {
		c.known = r.end.Known()
		fmt.Fprintln(&c.trace, describe(r.last))
	}()
	for r.last == nil {
		r.run()
		if r.last != nil {
			break
		}
		switch c.rng.IntN(14) {
		case 0, 1:
			c.append()
			if c.chance(3) {
				r.advance() // otherwise the message of the commit is lost
			}
		case 2:
			r.pass(time.Duration(1+c.rng.IntN(7)) * time.Second)
		case 3:
			if c.chance(4) {
				r.run(Closed{protocol.NewError(protocol.CodeNotOwner, "replaced")})
			}
		case 4:
			c.disconnect(r)
		case 5:
			c.storeReturns()
		case 13:
			c.moveHistory()
			if c.chance(3) {
				r.advance()
			}
		case 6:
			if c.chance(4) {
				r.run(word(protocol.CancelFetch))
			} else if c.chance(8) {
				r.pass(time.Minute)
			}
		default:
			if c.paced() {
				c.grant(r)
			} else {
				r.pass(time.Second)
			}
		}
	}
	return r.last
}

func (c *consumer) paced() bool { return c.request.WindowBytes > 0 || c.request.Follow }

// storeReturns lets the store return what it did not return before.
func (c *consumer) storeReturns() {
	for offset, payload := range c.away {
		c.log.payloadOf(offset, payload)
		for ; c.kind(offset) == absent; offset++ { // of the batch, and of absent ones after it
			c.holds[offset] = record
		}
	}
	c.returned = c.returned || len(c.away) > 0
	c.log.absent = false
	clear(c.away)
}

// moveHistory archives a part of the log, purges what was archived, or lets the store return no
// entries.
func (c *consumer) moveHistory() {
	l := c.log
	switch c.rng.IntN(6) {
	case 0:
		l.absent, c.noEntries = true, true
	case 1, 2:
		l.purge()
	default:
		before := len(l.archive)
		l.archiveUpTo(l.first + c.rng.Uint64N(uint64(len(l.entries)+1)))
		for i := range l.archive[before:] {
			offset := l.archive[before+i].BaseOffset
			for _, b := range l.archive[before+i].Batches {
				if c.kind(offset) == spoilt && c.chance(2) {
					l.giveUp(offset)
				}
				offset += int64(b.Records)
			}
		}
		c.markDamage()
	}
}

// damageHistory damages a part of the history. No fetch is open, because one may have read it
// before.
func (c *consumer) damageHistory() {
	l := c.log
	if len(l.archive) == 0 {
		return
	}
	l.damagePage(l.first + c.rng.Uint64N(uint64(len(l.archive))))
	c.markDamage()
}

// markDamage says what the offsets in damaged parts of the history hold, and right behind them.
func (c *consumer) markDamage() {
	l := c.log
	for i := range l.archive {
		e := &l.archive[i]
		if e.damaged {
			l.entries[i].corrupt = true
			for o := e.BaseOffset - e.Gap; o < e.NextOffset(); o++ {
				c.holds[o] = gone
			}
		} else if i > 0 && l.archive[i-1].damaged {
			for o := e.BaseOffset - e.Gap; o < e.BaseOffset; o++ {
				c.holds[o] = dubious
			}
		}
	}
}

// start makes a rig for the next fetch. Time and position are used for the first one
// only: the following ones start where the last one ended.
func (c *consumer) start() *rig {
	q := protocol.FetchRequest{Frames: c.chance(2)}
	if c.chance(2) {
		q.MaxRecords = int64(c.rng.IntN(8))
	}
	if c.chance(2) {
		q.MaxBytes = int64(c.rng.IntN(30))
	}
	if c.chance(2) {
		q.WindowBytes = int64(c.rng.IntN(40))
	}
	if c.chance(3) {
		q.MaxWait = int64(c.rng.IntN(5000))
	}
	q.Follow = c.chance(4)
	switch {
	case c.began:
		q.Offset = &c.at
	case c.chance(3):
		c.since = new(time.Unix(0, 1000+c.rng.Int64N(350)))
		q.Time = c.since
	case c.chance(2):
		q.From = protocol.FromEarliest
		c.at = 0
	default:
		c.at = c.rng.Int64N(c.log.state().Offset + 1)
		q.Offset = &c.at
	}
	c.began = true
	request := Request{FetchRequest: q}
	if q.Offset != nil {
		request.Offset = new(c.at)
	}
	request.complete()
	c.request, c.limit = request.FetchRequest, c.log.state().Offset
	c.outstanding, c.processed, c.messages, c.bytes, c.records = 0, 0, 0, 0, 0
	c.confirmed, c.broken, c.returned, c.noEntries = c.at, false, false, c.log.absent
	now := time.Unix(1000, 0)
	settings := testSettings
	settings.JoinBytes = c.rng.IntN(100)
	return &rig{
		TB: c, log: c.log, core: New(partition, request, settings, now), now: now,
		fails: func(m *Message) *protocol.Error {
			n := max(int64(m.Records), 1)
			for o := m.Offset; o < m.Offset+n; o++ {
				if c.kind(o) == large {
					return protocol.NewError(protocol.CodeMaxPayload, "")
				}
			}
			return nil
		},
	}
}

// startsAt checks where a fetch by time starts: in front of every record that is not
// older, and, unless that is a gap, behind every older record.
func (c *consumer) startsAt(at int64, gap bool) {
	since := *c.since
	c.since = nil
	if at == Unknown {
		return
	}
	c.at = at
	c.confirmed = at
	for i := range c.log.entries {
		e := &c.log.entries[i]
		if e.lost || e.corrupt || e.Records() == 0 {
			continue
		}
		if early := e.At().Before(since); early && !gap && e.NextOffset() > at || !early && e.BaseOffset < at {
			c.Errorf("a fetch from %d on starts at %d, and the entry at %d is of %d", since.UnixNano(), at, e.BaseOffset, e.Time)
		}
	}
}

// receive is what the consumer does with a message.
func (c *consumer) receive(m *Message) {
	fmt.Fprintln(&c.trace, m.Offset, m.Records, string(m.Data))
	if c.paced() {
		c.outstanding += int64(len(m.Data))
	}
	if s := m.Status; s != nil {
		fmt.Fprintln(&c.trace, describe(s))
		if c.since != nil && s.Code == protocol.StatusGap {
			c.startsAt(s.GapFrom, true)
		}
		switch {
		case s.Code == protocol.StatusHeartbeat:
		case s.Code != protocol.StatusGap || s.GapFrom != c.at || s.Next != s.GapTo+1:
			c.Errorf("offset %d: a status %s", c.at, describe(s))
		default:
			for o := s.GapFrom; o <= s.GapTo; o++ {
				if k := c.kind(o); k != empty && k != dubious {
					c.Errorf("offset %d holds %d, and is said to hold no record", o, c.kind(o))
				}
			}
			c.at = s.Next
		}
		return
	}
	if c.since != nil {
		c.startsAt(m.Offset, false)
	}
	if c.request.WindowBytes > 0 && c.credit(m) <= 0 {
		c.Errorf("offset %d is sent without credit, %d bytes of %d are outstanding", m.Offset, c.outstanding, c.request.WindowBytes)
	}
	c.messages++
	c.bytes += int64(len(m.Data))
	if m.Records > 0 {
		if m.Offset > c.at || m.Offset+int64(m.Records) <= c.at {
			c.Errorf("offset %d: a frame of %d records at %d", c.at, m.Records, m.Offset)
		}
		c.records += m.Offset + int64(m.Records) - c.at
		c.at = m.Offset + int64(m.Records)
		return
	}
	if m.Offset != c.at || string(m.Data) != fmt.Sprint(c.at) || c.kind(c.at) != record {
		c.Errorf("offset %d: record %q at %d", c.at, m.Data, m.Offset)
	}
	c.records++
	c.at++
}

// credit returns what was left before the batch of a message was sent.
func (c *consumer) credit(m *Message) int64 {
	left := c.request.WindowBytes - c.outstanding + int64(len(m.Data))
	if m.Records > 0 {
		return left
	}
	// Records of one batch are sent together, whatever is left.
	for i := range c.log.entries {
		e := &c.log.entries[i]
		offset := e.BaseOffset
		for _, b := range e.Batches {
			if m.Offset > offset && m.Offset < offset+int64(b.Records) {
				return 1
			}
			offset += int64(b.Records)
		}
	}
	return left
}

// grant reports how many bytes the consumer has processed, or only that it lives. Some of
// its reports are lost.
func (c *consumer) grant(r *rig) {
	processed := c.processed
	if !c.chance(3) {
		processed += c.outstanding
	}
	if c.chance(4) {
		return
	}
	c.outstanding, c.processed = c.outstanding-(processed-c.processed), processed
	if c.outstanding == 0 {
		c.confirmed = c.at
	}
	r.run(word(fmt.Sprint(processed)))
}

// disconnect loses what the consumer has not confirmed.
func (c *consumer) disconnect(r *rig) {
	c.broken = true
	if r.run(Disconnected{}); r.last == nil && (c.at != c.confirmed || c.outstanding > 0) && c.since == nil {
		c.Errorf("offset %d: the fetch survived a disconnection, and the consumer may have nothing from %d on", c.at, c.confirmed)
	}
}
