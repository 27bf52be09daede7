package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func partitionOf(m *nats.Msg) string { return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:] }

func TestAllPartitionsAreReadEachInItsOrder(t *testing.T) {
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

// failOne fails the fetch of partition 1 and returns that of partition 0.
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

func TestAnErrorOfOnePartitionComesWhenTheOthersHaveEnded(t *testing.T) {
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
		t.Fatalf("partition 0 was cut off: %v", err)
	default:
	}
	f.status(other, protocol.StatusEnd, 20)
	r.failed(t, protocol.NewError(protocol.CodeCorrupt, ""))
}

func TestAnErrorOfOnePartitionThatIsFollowedComesWhenTheOthersAreReadToTheirEnds(t *testing.T) {
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
		t.Errorf("%s is asked with %s", again.Subject, again.Data)
	}
	f.send(again, 10, 12)
	r.want(t, 10, 12)
	f.status(again, protocol.StatusEnd, 13)
	r.failed(t, protocol.NewError(protocol.CodeCorrupt, ""))
}

func TestErrorsOfSeveralPartitionsAreAllTold(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	f.failFetch(f.failOne(t), protocol.NewError(protocol.CodeOffsetOutOfRange, ""))
	if text := r.failed(t, protocol.NewError(protocol.CodeCorrupt, "")); !strings.Contains(text, "OFFSET_OUT_OF_RANGE") {
		t.Errorf("the error is %s", text)
	}
}

func TestReadingAllPartitionsEndsByCountAndContext(t *testing.T) {
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
