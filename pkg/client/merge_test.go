package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
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
			f.status(m, messages.StatusEnd, 50)
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

func TestAnErrorOfOnePartitionEndsAll(t *testing.T) {
	c, f := setup(t, 2)
	f.open(0)
	f.open(1)
	o := f.options()
	o.Follow = true
	r := read(t, c.Consumer(o).Records(bounded(t)))
	for range 2 {
		if m := next(t, f.fetches); partitionOf(m) == "1" {
			f.failFetch(m, messages.NewError(messages.CodeCorrupt, "key"))
		}
	}
	r.failed(t, messages.NewError(messages.CodeCorrupt, ""))
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
	read(t, c.Consumer(unknown).Records(bounded(t))).failed(t, messages.NewError(messages.CodeUnknownTopic, ""))
}
