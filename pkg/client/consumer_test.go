package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func partitionOf(m *nats.Msg) string { return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:] }

func TestReadsAllPartitionsInOrder(t *testing.T) {
	c, f := setup(t, 3)
	for n := range 3 {
		f.open(n)
	}
	go func() {
		var asked []*nats.Msg
		for range 3 {
			asked = append(asked, <-f.fetches)
		}
		for offset := range int64(50) {
			for _, m := range asked {
				f.send(m, offset, offset)
			}
		}
		for _, m := range asked {
			f.status(m, protocol.StatusEnd, 50)
		}
	}()
	var nextOf [3]int64
	for r, err := range c.Consumer(f.options()).Records(bounded(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Offset != nextOf[r.Partition] {
			t.Fatalf("partition %d: offset %d, want %d", r.Partition, r.Offset, nextOf[r.Partition])
		}
		nextOf[r.Partition]++
	}
	if nextOf != [3]int64{50, 50, 50} {
		t.Errorf("read %v", nextOf)
	}
}

// failOne fails the fetch of partition 1, and returns the fetch of partition 0.
func (f *frontend) failOne(t *testing.T) *nats.Msg {
	var other *nats.Msg
	for range 2 {
		if m := next(t, f.fetches); partitionOf(m) == "1" {
			f.failFetch(m, protocol.NewError(protocol.CodeCorrupt, "key"))
		} else {
			other = m
		}
	}
	return other
}

func TestPartitionErrorComesLast(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	other := f.failOne(t)
	f.send(other, 0, 9)
	r.want(t, 0, 9)
	f.send(other, 10, 19)
	r.want(t, 10, 19)
	select {
	case err := <-r.err:
		t.Fatalf("partition 0 has ended early: %v", err)
	default:
	}
	f.status(other, protocol.StatusEnd, 20)
	r.failed(t, protocol.NewError(protocol.CodeCorrupt, ""))
}

func TestPartitionErrorComesLastWithFollow(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	o := f.options()
	o.Follow = true
	r := read(t, c.Consumer(o).Records(bounded(t)))
	var other *nats.Msg
	var damaged *nats.Msg
	for range 2 {
		if m := next(t, f.fetches); partitionOf(m) == "1" {
			damaged = m
		} else {
			other = m
		}
	}
	f.send(other, 0, 9)
	r.want(t, 0, 9)
	f.failFetch(damaged, protocol.NewError(protocol.CodeCorrupt, "key"))
	again := next(t, f.fetches)
	wantOffset(t, again, 10)
	if partitionOf(again) != "0" || request(t, again).Follow {
		t.Errorf("request on %s: %s", again.Subject, again.Data)
	}
	f.send(again, 10, 12)
	r.want(t, 10, 12)
	f.status(again, protocol.StatusEnd, 13)
	r.failed(t, protocol.NewError(protocol.CodeCorrupt, ""))
}

func TestErrorsOfPartitionsAreJoined(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	f.failFetch(f.failOne(t), protocol.NewError(protocol.CodeOffsetOutOfRange, ""))
	if text := r.failed(t, protocol.NewError(protocol.CodeCorrupt, "")); !strings.Contains(text, "OFFSET_OUT_OF_RANGE") {
		t.Errorf("the error is %s", text)
	}
}

func TestReadingAllPartitionsEnds(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := f.options()
	o.Follow = true
	endless := read(t, c.Consumer(o).Records(ctx))
	next(t, f.fetches)
	next(t, f.fetches)
	cancel()
	endless.failed(t, context.Canceled)

	o.MaxRecords = 3
	counted := read(t, c.Consumer(o).Records(bounded(t)))
	f.send(next(t, f.fetches), 0, 1)
	f.send(next(t, f.fetches), 0, 1)
	for range 3 {
		next(t, counted.offsets)
	}
	counted.ended(t)

	unknown := client.ConsumerOptions{Topic: "nothing"}
	read(t, c.Consumer(unknown).Records(bounded(t))).failed(t, protocol.NewError(protocol.CodeUnknownTopic, ""))
}

// gap answers a fetch with a gap. With an error, the gap is damage.
func (f *frontend) gap(m *nats.Msg, first, last int64, err *protocol.Error) {
	header := nats.Header{protocol.HeaderStatus: {protocol.StatusGap}, protocol.HeaderDesc: {"a gap"}}
	if err != nil {
		header = nats.Header{
			protocol.HeaderStatus: {fmt.Sprint(err.Code.Kind().Status)}, protocol.HeaderError: {err.Code.Kind().Name},
			protocol.HeaderDesc: {err.Error()},
		}
	}
	header.Set(protocol.HeaderGapFrom, fmt.Sprint(first))
	if last >= 0 {
		header.Set(protocol.HeaderGapTo, fmt.Sprint(last))
		header.Set(protocol.HeaderNextOffset, fmt.Sprint(last+1))
	}
	f.publish(&nats.Msg{Subject: m.Reply, Reply: f.credit(), Header: header})
}

func TestGapIsReportedInItsPlace(t *testing.T) {
	for _, interested := range []bool{true, false} {
		c, f := setup(t, 1)
		f.open(0)
		o := f.options()
		var seen []string
		if interested {
			o.OnGap = func(g client.Gap) { seen = append(seen, fmt.Sprintf("%d-%d %v", g.First, g.Last, g.Err)) }
		}
		go func() {
			m := <-f.fetches
			f.gap(m, 0, 2, nil)
			f.send(m, 3, 4)
			f.gap(m, 5, 5, nil)
			f.status(m, protocol.StatusHeartbeat, 6)
			f.send(m, 6, 7)
			f.gap(m, 8, 9, nil)
			f.status(m, protocol.StatusEnd, 10)
		}()
		for r, err := range c.Consumer(o).Records(bounded(t)) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, fmt.Sprint(r.Offset))
		}
		want := []string{"0-2 <nil>", "3", "4", "5-5 <nil>", "6", "7", "8-9 <nil>"}
		if !interested {
			want = []string{"3", "4", "6", "7"}
		}
		if !slices.Equal(seen, want) {
			t.Errorf("got %q, want %q", seen, want)
		}
	}
}

func TestFetchResumesBehindGap(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.MaxRecords, o.Follow = 3, true
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	f.send(m, 0, 1)
	f.gap(m, 2, 9, nil)
	f.failFetch(m, protocol.NewError(protocol.CodeUnavailable, ""))
	m = next(t, f.fetches)
	wantOffset(t, m, 10)
	if left := request(t, m).MaxRecords; left != 1 {
		t.Errorf("%d records more were requested", left)
	}
	f.send(m, 10, 10)
	r.want(t, 0, 1)
	r.want(t, 10, 10)
	r.ended(t)
}

func TestFetchContinuesWhereAGapIsMisplaced(t *testing.T) {
	for name, told := range map[string][2]int64{"later": {3, 4}, "earlier": {1, 4}, "empty": {2, 1}} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			r := read(t, c.Consumer(f.options()).Records(bounded(t)))
			m := next(t, f.fetches)
			f.send(m, 0, 1)
			f.gap(m, told[0], told[1], nil)
			again := next(t, f.fetches)
			wantOffset(t, again, 2)
			f.status(again, protocol.StatusEnd, 2)
			r.want(t, 0, 1)
			r.ended(t)
		})
	}
}

func TestCorruptRecordsEndReadingUnlessSkipped(t *testing.T) {
	damage := protocol.NewError(protocol.CodeCorrupt, "object k")
	for _, skip := range []bool{false, true} {
		c, f := setup(t, 1)
		f.open(0)
		o := f.options()
		var gaps []client.Gap
		o.SkipCorrupt, o.OnGap = skip, func(g client.Gap) { gaps = append(gaps, g) }
		o.Retries = 1 // skipping is not a retry
		r := read(t, c.Consumer(o).Records(bounded(t)))
		m := next(t, f.fetches)
		f.send(m, 0, 1)
		f.gap(m, 2, 4, damage)
		r.want(t, 0, 1)
		if !skip {
			r.failed(t, damage)
			continue
		}
		for offset := int64(5); offset < 15; offset += 2 {
			m = next(t, f.fetches)
			wantOffset(t, m, offset)
			f.gap(m, offset, offset+1, damage)
		}
		m = next(t, f.fetches)
		f.send(m, 15, 15)
		r.want(t, 15, 15)
		f.status(m, protocol.StatusEnd, 16)
		r.ended(t)
		if len(gaps) != 6 || gaps[0].Err == nil || *gaps[0].Err != *damage || gaps[0].First != 2 || gaps[0].Last != 4 {
			t.Errorf("gaps are %v", gaps)
		}
		if text := gaps[0].String(); !strings.Contains(text, "offsets 2 to 4") || !strings.Contains(text, "object k") {
			t.Errorf("the gap is %q", text)
		}
	}
}

func TestDeletedRecordsAreAnnounced(t *testing.T) {
	outOfRange := protocol.NewError(protocol.CodeOffsetOutOfRange, "2, the partition has 5 to 9")
	for _, told := range []bool{true, false} {
		c, f := setup(t, 1)
		f.open(0)
		o := f.options()
		var gaps []client.Gap
		if told {
			o.OnGap = func(g client.Gap) { gaps = append(gaps, g) }
		}
		o.Retries = 1 // it is not a retry
		r := read(t, c.Consumer(o).Records(bounded(t)))
		m := next(t, f.fetches)
		f.send(m, 0, 1)
		f.gap(m, 2, 4, outOfRange)
		r.want(t, 0, 1)
		if !told {
			r.failed(t, outOfRange)
			continue
		}
		for offset := int64(5); offset < 15; offset += 2 {
			m = next(t, f.fetches)
			wantOffset(t, m, offset)
			f.gap(m, offset, offset+1, outOfRange)
		}
		m = next(t, f.fetches)
		f.send(m, 15, 15)
		r.want(t, 15, 15)
		f.status(m, protocol.StatusEnd, 16)
		r.ended(t)
		if len(gaps) != 6 || gaps[0].Err == nil || gaps[0].Err.Code != protocol.CodeOffsetOutOfRange || gaps[0].First != 2 || gaps[0].Last != 4 {
			t.Errorf("gaps are %v", gaps)
		}
		if text := gaps[0].String(); !strings.Contains(text, "deleted before they were read, at the offsets 2 to 4; continuing at offset 5") {
			t.Errorf("the gap is %q", text)
		}
	}
}

// Whoever names an offset must hear that it is not in the partition.
func TestOffsetThatTheCallerNamesIsNotReplaced(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Offset, o.From, o.OnGap = new(int64(2)), "", func(g client.Gap) { t.Errorf("gap %v", g) }
	r := read(t, c.Consumer(o).Records(bounded(t)))
	outOfRange := protocol.NewError(protocol.CodeOffsetOutOfRange, "2, the partition has 5 to 9")
	f.gap(next(t, f.fetches), 2, 4, outOfRange)
	r.failed(t, outOfRange)
}

func TestLostEndCannotBeSkipped(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.SkipCorrupt = true
	r := read(t, c.Consumer(o).Records(bounded(t)))
	f.gap(next(t, f.fetches), 0, -1, protocol.NewError(protocol.CodeCorrupt, "entry 7"))
	r.failed(t, protocol.NewError(protocol.CodeCorrupt, ""))
}
