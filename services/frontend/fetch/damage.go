package fetch

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// unknown is the next offset of damage behind which nothing can be read.
const unknown = -1

// damaged is the error for records that are in the log, or may be, and cannot be
// read. A consumer goes on behind them at next.
type damaged struct {
	err        *protocol.Error
	from, next int64
}

func (d *damaged) Error() string { return d.err.Error() }
func (d *damaged) Unwrap() error { return d.err }

// newDamaged returns the error for the offsets from from up to next.
func newDamaged(from, next int64, why *protocol.Error) *damaged {
	return &damaged{protocol.Errorf(why.Code, "%s; the records at the offsets %d to %d cannot be read, the next one is at %d",
		why.Detail, from, next-1, next), from, next}
}

func isCorrupt(err error) bool { return errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) }

// unreadable makes an error of a batch that cannot be read one of its records.
func (f *fetch) unreadable(l loaded, err error) error {
	if !isCorrupt(err) {
		return err
	}
	return newDamaged(max(l.offset, f.cursor.offset), l.next(), protocol.AsError(err))
}

// hole returns the error for entries that are missing before one, or nil if there
// were no records in them.
func (c *cursor) hole(next *messages.LoggedEntry) error {
	if next.Entry.BaseOffset <= c.offset {
		return nil
	}
	return newDamaged(c.offset, next.Entry.BaseOffset, protocol.Errorf(protocol.CodeCorrupt,
		"the entries %d to %d of stream %s are gone", c.sequence, next.Sequence-1, messages.LogStream(c.partition.id)))
}

// unreadable is the error for the entry that the cursor stands at, which cannot be
// decoded. It passes over entries that are damaged as well. An entry in which there
// were no records is no loss for readers: then the cursor moves behind it.
func (c *cursor) unreadable(ctx context.Context, why error) error {
	end, _, _ := c.partition.watch()
	known := protocol.AsError(why)
	if c.sequence >= end.readable {
		return &damaged{err: known, from: c.offset, next: unknown}
	}
	next, err := c.readable(ctx, c.sequence+1, end.readable)
	switch {
	case isCorrupt(err):
		return &damaged{err: known, from: c.offset, next: unknown}
	case err != nil:
		return err
	case next.Entry.BaseOffset > c.offset:
		return newDamaged(c.offset, next.Entry.BaseOffset, known)
	}
	c.queue, c.sequence = nil, next.Sequence
	return nil
}

// endDamage returns the error for a log that has lost its end, which the fetch has
// reached, or nil.
func (f *fetch) endDamage() error {
	end, _, _ := f.partition.watch()
	if end.damage == nil {
		return nil
	}
	return &damaged{err: end.damage, from: f.cursor.offset, next: unknown}
}

// stillThere returns an error if the log has lost what the fetch has delivered, as it
// may when its server was restarted. The known end may only be older than the place of
// the fetch, so the log is asked.
func (f *fetch) stillThere(ctx context.Context, end position) error {
	if end.offset >= f.cursor.offset {
		return nil
	}
	end, err := f.partition.lookUp(ctx)
	if err != nil || end.offset >= f.cursor.offset {
		return err
	}
	f.out.forget()
	return outOfRange(f.cursor.offset, end)
}

func outOfRange(offset int64, end position) error {
	return protocol.Errorf(protocol.CodeOffsetOutOfRange, "%d, the partition has 0 to %d", offset, end.offset)
}

// tellGap tells the consumer of offsets that hold no records, and goes on behind them.
func (f *fetch) tellGap(b *batch) error {
	f.spend(0)
	if err := f.out.gap(max(b.offset, f.cursor.offset), b.next()); err != nil {
		return err
	}
	f.cursor.offset = b.next()
	f.sent.Store(true)
	return nil
}

// gap sends the status that names offsets without records.
func (a *answers) gap(from, next int64) error {
	m := a.status(protocol.StatusGap, fmt.Sprintf("the offsets %d to %d hold no records: they were reserved when the owner of the log crashed, "+
		"or were given up with: laneway topic repair", from, next-1))
	name(m, from, next)
	m.Reply = a.credit
	return a.publish(m)
}

// forget makes statuses name the end of the partition though the fetch has seen more.
func (a *answers) forget() { a.own[protocol.HeaderOffset][0] = "" }

// lost notes which records the last status names as lost.
func (a *answers) lost(d *damaged) { a.damage = d }

// name names offsets, and the one behind them, in the headers of a status.
func name(m *nats.Msg, from, next int64) {
	m.Header.Set(protocol.HeaderGapFrom, strconv.FormatInt(from, 10))
	if next == unknown {
		m.Header.Del(protocol.HeaderNextOffset)
		return
	}
	m.Header.Set(protocol.HeaderGapTo, strconv.FormatInt(next-1, 10))
	m.Header.Set(protocol.HeaderNextOffset, strconv.FormatInt(next, 10))
}
