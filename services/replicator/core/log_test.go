package core_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// composed is a log of several partitions. What its partitions ask for is done at once, except for
// appends once they lead. It belongs to one goroutine.
type composed struct {
	t       testing.TB
	now     time.Time
	log     *core.Log
	epoch   uint64 // in the term record that each of the partitions finds; 0 if it finds none
	ends    map[protocol.Partition]uint64
	appends map[protocol.Partition]*core.Append
	takes   []uint64 // the epochs above which one was asked for
}

func number(n int32) protocol.Partition {
	p := orders
	p.Number = n
	return p
}

// newComposed returns a log whose partitions 0 to n-1 lead and are at rest.
func newComposed(t testing.TB, n int32) *composed {
	t.Helper()
	c := compose(t)
	for i := range n {
		c.step(core.Added{Partition: number(i), Limits: core.Limits{ProducerExpiry: time.Hour, MaxProducers: 10}})
	}
	for range 10 {
		c.beat()
	}
	for i := range n {
		if !c.log.Stats(number(i)).Leading {
			t.Fatalf("partition %d does not lead", i)
		}
	}
	c.wantTurned(c.step())
	return c
}

func compose(t testing.TB) *composed {
	settings := core.DefaultSettings("owner")
	settings.Epoch = 5
	return &composed{
		t: t, now: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), log: core.NewLog(settings),
		ends: map[protocol.Partition]uint64{}, appends: map[protocol.Partition]*core.Append{},
	}
}

// beat lets a heartbeat pass.
func (c *composed) beat() turned {
	c.now = c.now.Add(200 * time.Millisecond)
	return c.step()
}

// turned is a copy of a turn, with the numbers of the partitions that took part.
type turned struct {
	core.Turn
	numbers []int32
}

// step steps the log and does what the partitions ask for. It returns the first turn.
func (c *composed) step(events ...core.Event) turned {
	c.t.Helper()
	turn := c.log.Step(c.now, events)
	first := turned{Turn: turn}
	first.Turned = slices.Clone(turn.Turned)
	if turn.TakeEpoch != 0 {
		c.takes = append(c.takes, turn.TakeEpoch)
	}
	var answers []core.Event
	for i := range turn.Turned {
		t := &turn.Turned[i]
		first.numbers = append(first.numbers, t.Partition.Number)
		for _, e := range c.answers(t) {
			answers = append(answers, core.For{Partition: t.Partition, Event: e})
		}
	}
	for _, e := range turn.Send {
		if hello, is := e.Message.(messages.Hello); is {
			answers = append(answers, messages.Release{Partition: hello.Partition, SequencerEpoch: 1, HelloTerm: hello.Term})
		}
	}
	if len(answers) > 0 {
		c.step(answers...)
	}
	return first
}

// answers returns the results of the effects of a partition.
func (c *composed) answers(t *core.Turned) (events []core.Event) {
	id, fx := t.Partition, &t.Effects
	switch {
	case fx.Load:
		end := messages.Position{Sequence: 1}
		events = append(events, core.Loaded{Mark: core.FoundMark{Exists: true, Mark: messages.Mark{Written: end, Reserved: end}}})
	case fx.Read != nil:
		c.ends[id] = 1
		created := messages.Entry{TopicID: id.TopicID, Created: true, Time: c.now.UnixNano()}
		read := core.LogRead{Entries: []core.LoggedEntry{{Sequence: 1, Entry: created}}, AtEnd: true, Last: 1}
		if c.epoch != 0 {
			c.ends[id] = 2
			read.Last = 2
			read.Entries = append(read.Entries, core.LoggedEntry{Sequence: 2, Entry: messages.Entry{
				TopicID: id.TopicID, Owner: "other", OwnerEpoch: c.epoch, Time: c.now.UnixNano(),
			}})
		}
		events = append(events, read)
	case fx.Append != nil && !t.Stats.Leading:
		c.ends[id]++
		events = append(events, core.Appended{Sequence: c.ends[id]})
	case fx.Append != nil:
		c.appends[id] = fx.Append
	}
	if fx.Mark != nil {
		events = append(events, core.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1})
	}
	return events
}

// appended returns the event for a partition whose append is durable.
func (c *composed) appended(n int32) core.Event {
	c.t.Helper()
	id := number(n)
	if c.appends[id] == nil {
		c.t.Fatalf("partition %d appends nothing", n)
	}
	delete(c.appends, id)
	c.ends[id]++
	return core.For{Partition: id, Event: core.Appended{Sequence: c.ends[id]}}
}

func (c *composed) wantTurned(got turned, want ...int32) {
	c.t.Helper()
	if !slices.Equal(got.numbers, want) {
		c.t.Fatalf("partitions %v took part, want %v", got.numbers, want)
	}
}

// released returns the release of a batch to a partition.
func released(n int32, lane string, ticket uint64) messages.Release {
	r := release(batch(lane, ticket))
	r.Partition = number(n)
	return r
}

// sentBy returns the partitions of the messages of one type.
func sentBy[M messages.Message](turn turned) (numbers []int32) {
	for _, e := range turn.Send {
		if _, is := e.Message.(M); is {
			numbers = append(numbers, e.Message.Of().Number)
		}
	}
	return numbers
}

func TestEventsReachTheirPartition(t *testing.T) {
	c := newComposed(t, 3)
	turn := c.step(released(2, "a", 1), released(0, "a", 1), released(2, "b", 1))
	c.wantTurned(turn, 2, 0)
	if c.appends[number(1)] != nil || c.appends[number(0)] == nil {
		t.Fatalf("appends are under way: %v", c.appends)
	}
	turn = c.step(c.appended(0), c.appended(2), released(1, "a", 1))
	c.wantTurned(turn, 0, 2, 1)
	if got := sentBy[messages.Committed](turn); !slices.Equal(got, []int32{0, 2}) {
		t.Fatalf("partitions %v announce entries", got)
	}
	for n, records := range []uint64{2, 0, 4} {
		if got := turn.Turned[slices.Index(turn.numbers, int32(n))].Stats.Records; got != records {
			t.Errorf("partition %d has committed %d records, want %d", n, got, records)
		}
	}
	turn = c.step(core.For{Partition: number(1), Event: core.AppendFailed{}})
	c.wantTurned(turn, 1)
	if !c.log.Stats(number(0)).Leading {
		t.Error("partition 0 leads no more after a failed append of partition 1")
	}
}

func TestAllPartitionsLearnWhatConcernsAll(t *testing.T) {
	c := newComposed(t, 3)
	c.wantTurned(c.step(core.Generation{Newest: 4}), 0, 1, 2)
	c.wantTurned(c.step(core.ArchiverStarted{}), 0, 1, 2)
	added := c.step(core.Added{Partition: number(7)})
	c.wantTurned(added, 7)
	if got := added.Turned[0].Stats.Generation; got != 4 {
		t.Errorf("the added partition knows generation %d", got)
	}
}

func TestLogStopsPartitionByPartition(t *testing.T) {
	c := newComposed(t, 3)
	c.step(released(1, "a", 1))
	stopped := func(turn turned) (numbers []int32) {
		for i := range turn.Turned {
			if turn.Turned[i].Effects.Stopped {
				numbers = append(numbers, turn.numbers[i])
			}
		}
		return numbers
	}
	if got := stopped(c.step(core.Stopping{})); !slices.Equal(got, []int32{0, 2}) {
		t.Fatalf("partitions %v have stopped while partition 1 appends", got)
	}
	c.step(c.appended(1)) // and the exact mark is written
	if got := stopped(c.beat()); !slices.Contains(got, 1) {
		t.Fatalf("partitions %v have stopped", got)
	}
	if got := stopped(c.step(core.Added{Partition: number(4)})); !slices.Equal(got, []int32{4}) {
		t.Fatalf("partitions %v have stopped, want the one that was added", got)
	}
}

func TestRemovedPartitionHasNoEffects(t *testing.T) {
	c := newComposed(t, 2)
	c.step(released(1, "a", 1))
	acknowledged := c.appended(1)
	turn := c.step(acknowledged, released(0, "a", 1), core.Removed{Partition: number(1)})
	c.wantTurned(turn, 0)
	if len(turn.Send) != 0 {
		t.Errorf("sent %+v", turn.Send)
	}
	c.wantTurned(c.step(acknowledged, released(1, "a", 2)))
	if got := c.log.Stats(number(1)); got != (core.Stats{}) {
		t.Errorf("statistics %+v", got)
	}
}

func TestReleaseForADeletedPartitionReachesNoneWithItsName(t *testing.T) {
	c := newComposed(t, 1)
	again := number(0)
	again.TopicID++
	c.step(core.Removed{Partition: number(0)}, core.Added{Partition: again, Limits: core.Limits{ProducerExpiry: time.Hour, MaxProducers: 10}})
	for range 10 {
		c.beat()
	}
	if !c.log.Stats(again).Leading {
		t.Fatal("the partition that was created again does not lead")
	}
	c.wantTurned(c.step(released(0, "a", 1)))
}

func TestOneEpochIsTakenForAllPartitions(t *testing.T) {
	c := compose(t)
	c.epoch = 9
	c.step(core.Added{Partition: number(0)}, core.Added{Partition: number(1)})
	c.step(core.Added{Partition: number(2)})
	if !slices.Equal(c.takes, []uint64{9}) {
		t.Fatalf("epochs above %v are asked for", c.takes)
	}
	if c.log.Stats(number(0)).Leading {
		t.Fatal("a fenced partition leads")
	}
	c.epoch = 0
	c.step(core.EpochTaken{Epoch: 10})
	c.beat()
	for n := range int32(3) {
		if !c.log.Stats(number(n)).Leading {
			t.Errorf("partition %d does not lead with the epoch", n)
		}
	}
	c.epoch = 10 // of another owner
	c.step(core.Added{Partition: number(3)})
	c.epoch = 12
	c.step(core.Added{Partition: number(4)})
	if !slices.Equal(c.takes, []uint64{9, 10, 12}) {
		t.Fatalf("epochs above %v are asked for", c.takes)
	}
	c.epoch = 0
	c.step(core.EpochTaken{Epoch: 11})
	c.beat()
	if c.log.Stats(number(4)).Leading || !c.log.Stats(number(3)).Leading {
		t.Errorf("of epochs 10 and 12, the wrong one is surpassed by 11")
	}
}

func TestPartitionsAtRestHaveRareBeats(t *testing.T) {
	const partitions = 3*core.RestBeats + 1
	c := newComposed(t, partitions)
	taken := map[int32]int{}
	for range 2 * core.RestBeats {
		turn := c.beat()
		if n := len(turn.numbers); n < 3 || n > 4 {
			t.Fatalf("%d partitions take part in a beat", n)
		}
		for _, n := range turn.numbers {
			taken[n]++
		}
	}
	for n := range int32(partitions) {
		if taken[n] != 2 {
			t.Errorf("partition %d had %d beats, want 2", n, taken[n])
		}
	}
	c.step(released(5, "a", 1))
	for range 3 {
		if turn := c.beat(); !slices.Contains(turn.numbers, 5) {
			t.Fatalf("partitions %v took part, and not the one that appends", turn.numbers)
		}
	}
}

// BenchmarkBeatOfPartitionsAtRest measures a beat of a log with a quarter of ten thousand partitions, to
// which nothing is sent, and the memory of one of them.
func BenchmarkBeatOfPartitionsAtRest(b *testing.B) {
	const partitions = 2500
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newComposed(b, partitions)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		c.beat()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/partitions, "B/partition")
	runtime.KeepAlive(c)
}
