package core

import (
	"fmt"
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// groupsOf returns the groups of the object that a core makes of some messages; each group
// reads codec and batches.
func groupsOf(t *testing.T, stages ...messages.Stage) []string {
	t.Helper()
	r := newRig(t, Settings{ObjectBytes: 100 << 20, ObjectBatches: 1000, Uploads: 1, MemoryBytes: 1 << 30})
	var events []Event
	for _, m := range stages {
		events = append(events, m)
	}
	fx := r.step(events...)
	if len(fx.Uploads) != 1 {
		t.Fatalf("%d uploads, want one", len(fx.Uploads))
	}
	all := []string{}
	for _, g := range fx.Uploads[0].Groups() {
		text := string(g.Codec)
		for _, i := range g.Batches {
			b := &fx.Uploads[0].Batches[i]
			text += fmt.Sprintf(" %s/%d/%d/%s", b.Partition.Topic, b.Partition.Number, b.Epoch, name(b.Lane, b.Number))
		}
		all = append(all, text)
	}
	return all
}

func compressedStage(codec protocol.Compression, of protocol.Partition, batches ...messages.StageBatch) messages.Stage {
	m := stage(of, batches...)
	m.Codec = codec
	return m
}

func TestBatchesOfAPartitionAreGroupedInTheirOrder(t *testing.T) {
	byProducer := batch("a", 3, 100)
	byProducer.MaxRecordBytes = 1000
	later := compressedStage(protocol.CompressionZstd, orders0, batch("a", 1, 10))
	later.Epoch++
	got := groupsOf(t,
		compressedStage(protocol.CompressionZstd, orders0, batch("a", 1, 100), batch("b", 1, 10)),
		compressedStage(protocol.CompressionS2, bills0, batch("a", 1, 10)),
		stage(protocol.Partition{Topic: "plain", TopicID: 79}, batch("a", 1, 10)),
		compressedStage(protocol.CompressionZstd, orders1, batch("a", 1, 10)),
		compressedStage(protocol.CompressionZstd, orders0, batch("a", 2, 10), byProducer, batch("c", 9, 0), batch("a", 4, 10)),
		later,
	)
	want := []string{
		"zstd orders/0/10/a:1 orders/0/10/b:1 orders/0/10/a:2 orders/0/10/a:4",
		"s2 bills/0/10/a:1",
		"zstd orders/1/10/a:1",
		"zstd orders/0/11/a:1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("groups are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGroupsAreBounded(t *testing.T) {
	sized := func(number uint64, size int) messages.StageBatch { return batch("a", number, size) }
	named := func(number uint64, lane int) messages.StageBatch { return batch(strings.Repeat("l", lane), number, 1) }
	for name, c := range map[string]struct {
		batches []messages.StageBatch
		want    []int // batches of each group
	}{
		"just full":       {[]messages.StageBatch{sized(1, groupBytes-10), sized(2, 10), sized(3, 1)}, []int{2, 1}},
		"larger ones":     {[]messages.StageBatch{sized(1, 10), sized(2, groupBytes+1), sized(3, 10)}, []int{1, 1, 1}},
		"names":           {[]messages.StageBatch{named(1, 1<<16-1), named(2, 1<<16-1), named(3, 1<<16-1), named(4, 1<<16-1), named(5, 1<<16-1)}, []int{4, 1}},
		"nothing at all":  {[]messages.StageBatch{sized(1, 0)}, nil},
		"a single record": {[]messages.StageBatch{sized(1, 30)}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, g := range groupsOf(t, compressedStage(protocol.CompressionS2, orders0, c.batches...)) {
				got = append(got, strings.Count(g, " "))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("groups of %v batches, want %v", got, c.want)
			}
		})
	}
}

func TestPayloadThatIsCompressedCountsTwice(t *testing.T) {
	r := newRig(t, Settings{ObjectBytes: 1 << 20, ObjectBatches: 10, Uploads: 1, MemoryBytes: 1 << 20})
	byProducer := batch("c", 1, 1000)
	byProducer.MaxRecordBytes = 1000
	held := func(m messages.Stage) int64 {
		before := r.core.Stats().Held
		r.step(m)
		return r.core.Stats().Held - before
	}
	plain := held(stage(orders0, batch("a", 1, 1000)))
	if got := held(compressedStage(protocol.CompressionS2, orders0, batch("b", 1, 1000))); got != plain+1000 {
		t.Errorf("a batch counts %d bytes, a plain one %d; want 1000 more", got, plain)
	}
	if got := held(compressedStage(protocol.CompressionS2, orders0, byProducer)); got != plain {
		t.Errorf("a batch that its producer has compressed counts %d bytes, a plain one %d", got, plain)
	}
}
