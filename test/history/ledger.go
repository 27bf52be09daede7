package history

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/load"
)

// Ledger compares what consumers see of a partition whose records expire with what producers were
// answered: an offset has one record forever, no value has two offsets, and no record disappears
// before its time. It is safe for concurrent use.
type Ledger struct {
	retention time.Duration // 0 if records never expire
	gapless   string        // the names of producers begin with it that give up no record

	mu      sync.Mutex
	known   []place // by offset
	offsets map[string]int64
	acked   int64 // one more than the highest offset that was acknowledged
}

// place is what is known of an offset.
type place struct {
	value string
	// since is when the record was committed; before it was read, when it was sent, which is earlier.
	since time.Time
	bytes int       // of the record that was read
	gap   bool      // a reader got a gap, in which there never were records
	gone  time.Time // when a reader first found it deleted
}

// NewLedger returns a ledger of a partition. Producers whose names begin with gapless send a
// record until it is acknowledged, so that none of their records may be left out.
func NewLedger(retention time.Duration, gapless string) *Ledger {
	return &Ledger{retention: retention, gapless: gapless, offsets: make(map[string]int64)}
}

// Acknowledged adds the answer to a batch of one record.
func (l *Ledger) Acknowledged(value string, offset int64, sent time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.enter(value, offset)
	if err != nil {
		return fmt.Errorf("acknowledged: %w", err)
	}
	if e.since.IsZero() {
		e.since = sent
	}
	l.acked = max(l.acked, offset+1)
	return l.fault(offset)
}

// Batches adds batches of one record, with their answers. Readers have reached the end of the
// partition before.
func (l *Ledger) Batches(batches []load.Batch) error {
	var f faults
	for i := range batches {
		b := &batches[i]
		if b.Ack != nil {
			if err := l.Acknowledged(b.Value, b.Ack.Offset, b.Sent); err != nil {
				f.add("%w", err)
			}
			continue
		}
		l.mu.Lock()
		if at, known := l.offsets[b.Value]; known {
			if fault := misplaced(b, []int64{at}); fault != "" {
				f.add("%q is %s: offset %d", b.Value, fault, at)
			}
		}
		l.mu.Unlock()
	}
	return f.err()
}

// Records returns how many records are known.
func (l *Ledger) Records() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.offsets)
}

// Live returns the bytes of the records that were read and have not expired at a time.
func (l *Ledger) Live(at time.Time) (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.known {
		if e := &l.known[i]; l.retention == 0 || e.since.Add(l.retention).After(at) {
			bytes += int64(e.bytes)
		}
	}
	return bytes
}

// at returns the place of an offset.
func (l *Ledger) at(offset int64) *place {
	for int64(len(l.known)) <= offset {
		l.known = append(l.known, place{})
	}
	return &l.known[offset]
}

// enter returns the place of a value at an offset.
func (l *Ledger) enter(value string, offset int64) (*place, error) {
	e := l.at(offset)
	if at, known := l.offsets[value]; known && at != offset {
		return nil, fmt.Errorf("%.40q has the offsets %d and %d", value, at, offset)
	}
	if e.value != "" && e.value != value {
		return nil, fmt.Errorf("offset %d has the records %.40q and %.40q", offset, e.value, value)
	}
	e.value, l.offsets[value] = value, offset
	return e, nil
}

// fault returns an error if a record is known that a reader has not got where it should have.
func (l *Ledger) fault(offset int64) error {
	switch e := &l.known[offset]; {
	case e.value == "":
		return nil
	case e.gap:
		return fmt.Errorf("offset %d has %.40q, and a reader got a gap there", offset, e.value)
	case e.gone.IsZero():
		return nil
	case l.retention == 0:
		return fmt.Errorf("offset %d (%.40q) is deleted, and records of the partition are kept forever", offset, e.value)
	case e.since.Add(l.retention).After(e.gone):
		return fmt.Errorf("offset %d (%.40q) is deleted after %s, records are kept for %s", offset, e.value, e.gone.Sub(e.since).Round(time.Millisecond), l.retention)
	}
	return nil
}

// missed notes that a reader has got no records from one offset up to another one: because there
// never were any, or because they were deleted. It checks this with the records that are known; those
// that become known later are checked then.
func (l *Ledger) missed(from, to int64, gap bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var f faults
	for offset := max(from, 0); offset < to; offset++ {
		switch e := l.at(offset); {
		case gap:
			e.gap = true
		case e.gone.IsZero():
			e.gone = now
		}
		if err := l.fault(offset); err != nil {
			f.add("%w", err)
		}
	}
	return f.err()
}

// Reading is one pass over the partition. It belongs to one goroutine.
type Reading struct {
	ledger *Ledger
	begun  int64 // one more than the highest offset that had been acknowledged before
	next   int64 // -1 before the first record
	first  int64 // of the first record
	gaps   int   // with records that were deleted
	of     map[string]last
	err    error // of the gaps, which have no way to return one
}

// last is the last record of a producer that was read.
type last struct{ n, gaps int }

// Read begins a reading at the earliest record.
func (l *Ledger) Read() *Reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Reading{ledger: l, begun: l.acked, next: -1, first: -1, of: make(map[string]last)}
}

// Next returns the offset that comes next, or -1 if there was none yet.
func (r *Reading) Next() int64 { return r.next }

// Record adds the next record.
func (r *Reading) Record(record *client.Record) error {
	offset := record.Offset
	if r.err != nil {
		return r.err
	}
	if r.next < 0 {
		if err := r.ledger.missed(0, offset, false); err != nil {
			return fmt.Errorf("the log starts at offset %d: %w", offset, err)
		}
		r.next, r.first = offset, offset
	}
	if offset != r.next {
		return fmt.Errorf("offset %d comes, %d was expected", offset, r.next)
	}
	r.next++
	value, err := load.Unpad(string(record.Value))
	if err == nil {
		err = r.follows(value)
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", offset, err)
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	e, err := r.ledger.enter(value, offset)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	e.since, e.bytes = record.Time, len(record.Value)
	return r.ledger.fault(offset)
}

// follows checks that a record comes behind the one before of its producer.
func (r *Reading) follows(value string) error {
	producer, n, err := load.ParseValue(value)
	if err != nil {
		return err
	}
	before, known := r.of[producer]
	r.of[producer] = last{n, r.gaps}
	if known && n <= before.n {
		return fmt.Errorf("%w: record %d of %s comes after %d", ErrDisorder, n, producer, before.n)
	}
	if !strings.HasPrefix(producer, r.ledger.gapless) {
		return nil
	}
	if known && before.gaps == r.gaps && n != before.n+1 || !known && r.first == 0 && r.gaps == 0 && n != 0 {
		return fmt.Errorf("record %d of %s comes, %d was expected", n, producer, before.n+1)
	}
	return nil
}

// Gap adds a gap. A fault of it is an error of the next record or of the end.
func (r *Reading) Gap(g client.Gap) {
	if r.err != nil {
		return
	}
	if r.next >= 0 && g.First != r.next {
		r.err = fmt.Errorf("%v: offset %d was expected", g, r.next)
		return
	}
	if r.next < 0 {
		r.first = g.First
		r.err = r.ledger.missed(0, g.First, false)
	}
	if g.Err != nil {
		r.gaps++
	}
	if err := r.ledger.missed(g.First, g.Last+1, g.Err == nil); err != nil {
		r.err = fmt.Errorf("%v: %w", g, err)
	}
	r.next = g.Last + 1
}

// End ends a reading that was to reach the end of the partition: it has all records that were
// acknowledged before it began, unless they have expired.
func (r *Reading) End() error {
	if r.err != nil {
		return r.err
	}
	if r.next >= r.begun {
		return nil
	}
	if err := r.ledger.missed(r.next, r.begun, false); err != nil {
		return fmt.Errorf("the reading ends before offset %d, %d was acknowledged: %w", r.next, r.begun-1, err)
	}
	return nil
}
