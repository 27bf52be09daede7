package fetch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// skip leaves a gap before the next entry.
func (f *fixture) skip(offsets int64) {
	f.offset += offsets
	f.gap += offsets
}

// gap returns the next message, which must name a gap.
func (c *consumer) gap(first, last int64) {
	c.f.Helper()
	expectGap(c.f, c.status(protocol.StatusGap), first, last)
}

// holed is a fixture whose log has no entry yet, so that each will be alone in a group and can be lost.
func holed(t testing.TB) *fixture {
	t.Helper()
	f := newFixture(t, nil)
	must(t, f.log.Delete(f.context()))
	f.last = 0
	return f
}

// lose deletes entries.
func (f *fixture) lose(sequences ...uint64) {
	f.Helper()
	f.inJetStream().Lose(sequences...)
	f.server.entries.clear()
}

func TestGapIsToldAndTheFetchGoesOnBehindIt(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a", "b"))
	f.skip(3)
	f.commit(lines("c"))
	for _, frames := range []bool{false, true} {
		for name, request := range map[string]fields{
			"a fetch": {}, "with a window": {"window_bytes": 1}, "of so many records": {"max_records": 3}, "of so many bytes": {"max_bytes": 30},
		} {
			t.Run(fmt.Sprintf("%s, frames %v", name, frames), func(t *testing.T) {
				request["offset"], request["frames"] = 0, frames
				c := f.fetch(request)
				var got []string
				for len(got) < 2 {
					m := c.data()
					got = append(got, valuesOf(t, m)...)
					if m.Reply != "" {
						c.grant(m, len(m.Data))
					}
				}
				c.gap(2, 4)
				rest, last := c.rest()
				if got = append(got, rest...); !slices.Equal(got, []string{"a", "b", "c"}) {
					t.Errorf("got %q", got)
				}
				expectHeader(t, last, protocol.HeaderStatus, protocol.StatusEnd)
				expectOffsets(t, last, 6, 6)
			})
		}
	}
}

func TestFetchThatIsFullBeforeAGapIsNotToldOfIt(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a", "b"))
	f.skip(3)
	f.commit(lines("c"))
	expectOffsets(t, f.fetch(fields{"offset": 0, "max_records": 2}).wants(protocol.StatusEnd, "a", "b"), 2, 6)
}

func TestStartInsideAGapIsBehindIt(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	f.skip(4)
	f.commit(lines("b"))
	for offset := int64(1); offset < 5; offset++ {
		c := f.fetch(fields{"offset": offset})
		c.gap(offset, 4)
		c.wants(protocol.StatusEnd, "b")
	}
	f.fetch(fields{"offset": 5}).wants(protocol.StatusEnd, "b")
}

func TestStartByTimeBehindAGapIsToldOfIt(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	f.skip(4)
	s := f.commit(lines("b"))
	c := f.fetch(fields{"time": s.entry.At()})
	c.gap(1, 4)
	c.wants(protocol.StatusEnd, "b")
	c = f.fetch(fields{"time": time.Unix(0, 0)})
	c.data()
	c.gap(1, 4)
	c.wants(protocol.StatusEnd, "b")
	f.fetch(fields{"time": s.entry.At().Add(time.Hour)}).wants(protocol.StatusEnd)
}

func TestGapAtEndIsReported(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	follower := f.fetch(fields{"offset": 0, "follow": true, "max_records": 2})
	follower.data()
	f.skip(4)
	// An owner that takes the log over has no records yet.
	term := messages.Entry{TopicID: f.topic.ID, Owner: "next", BaseOffset: f.offset, Gap: f.gap, Time: time.Now().UnixNano()}
	f.gap = 0
	sequence := f.append(messages.EncodeEntry(term))
	c := f.fetch(fields{"offset": 0})
	c.data()
	c.gap(1, 4)
	expectOffsets(t, c.status(protocol.StatusEnd), 5, 5)
	c = f.fetch(fields{"offset": 3})
	c.gap(3, 4)
	expectOffsets(t, c.status(protocol.StatusEnd), 5, 5)
	expectOffsets(t, f.fetch(fields{"from": "latest"}).status(protocol.StatusEnd), 5, 5)

	f.server.Committed(messages.Committed{Partition: f.id, Sequence: sequence}, term)
	follower.gap(1, 4)
	f.tell(lines("b"))
	expectOffsets(t, follower.wants(protocol.StatusEnd, "b"), 6, 6)
}

func TestLogMayStartAboveSequence1AndOffset0(t *testing.T) {
	f := newFixture(t, nil)
	must(t, f.log.Delete(f.context()))
	f.last = 1000
	f.skip(100)
	f.commit(lines("a"))
	s := f.commit(lines("b"))
	f.commit(lines("c"))
	f.server.entries.clear()
	for _, start := range []fields{{"from": "earliest"}, {"offset": 0}, {"time": time.Unix(0, 0)}} {
		c := f.fetch(start)
		c.gap(0, 99)
		expectOffsets(t, c.wants(protocol.StatusEnd, "a", "b", "c"), 103, 103)
	}
	f.fetch(fields{"offset": 102}).wants(protocol.StatusEnd, "c")
	f.fetch(fields{"time": s.entry.At()}).wants(protocol.StatusEnd, "b", "c")
	f.fetch(fields{"offset": 104}).fails(protocol.CodeOffsetOutOfRange)
}

func TestLogStartsAtOffsetOfFirstEntry(t *testing.T) {
	f := newFixture(t, nil)
	must(t, f.log.Delete(f.context()))
	target, err := f.log.Continue(f.context(), 1, 1001)
	must(t, err)
	must(t, target.Append(f.context(), messages.Entry{TopicID: f.topic.ID, Created: true, BaseOffset: 500}))
	must(t, target.Finish(f.context()))
	f.last, f.offset = 1001, 500
	expectOffsets(t, f.fetch(fields{"from": "earliest"}).status(protocol.StatusEnd), 500, 500)
	f.commit(lines("a"))
	s := f.commit(lines("b"))
	f.server.entries.clear()
	for _, start := range []fields{{"from": "earliest"}, {"offset": 500}, {"time": time.Unix(0, 0)}} {
		expectOffsets(t, f.fetch(start).wants(protocol.StatusEnd, "a", "b"), 502, 502)
	}
	f.fetch(fields{"time": s.entry.At()}).wants(protocol.StatusEnd, "b")
	for _, offset := range []int64{0, 499, 503} {
		if text := f.fetch(fields{"offset": offset}).fails(protocol.CodeOffsetOutOfRange).Header.Get(protocol.HeaderDesc); !strings.Contains(text, "500 to 502") {
			t.Errorf("offset %d: %q", offset, text)
		}
	}
	f.inJetStream().LoseBelow(1003)
	f.server.entries.clear()
	expectGap(t, f.fetch(fields{"from": "earliest"}).fails(protocol.CodeCorrupt), 0, 500)
	f.fetch(fields{"offset": 501}).wants(protocol.StatusEnd, "b")
}

func TestLostEntriesAreReported(t *testing.T) {
	f := holed(t)
	f.commit(lines("a"))
	lost := f.commit(lines("b", "c"))
	f.commit(lines("d"))
	s := f.commit(lines("e"))
	f.lose(2, 3)
	for _, request := range []fields{{"from": "earliest"}, {"offset": 0, "frames": true, "follow": true}, {"time": time.Unix(0, 0)}} {
		c := f.fetch(request)
		c.data()
		m := c.fails(protocol.CodeCorrupt)
		expectGap(t, m, 1, 3)
		if text := m.Header.Get(protocol.HeaderDesc); !strings.Contains(text, "the entries 2 to 3 of log "+messages.LogName(f.id)+" are gone") ||
			!strings.Contains(text, "offsets 1 to 3") {
			t.Errorf("the description is %q", text)
		}
	}
	for offset := int64(1); offset < 4; offset++ {
		expectGap(t, f.fetch(fields{"offset": offset}).fails(protocol.CodeCorrupt), offset, 3)
	}
	expectGap(t, f.fetch(fields{"time": lost.entry.At()}).fails(protocol.CodeCorrupt), 1, 3)
	f.fetch(fields{"offset": 4}).wants(protocol.StatusEnd, "e")
	f.fetch(fields{"time": s.entry.At().Add(1)}).wants(protocol.StatusEnd)
}

func TestUndecodableEntryIsReportedWithOffsets(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	broken := f.append([]byte("no entry"))
	f.append([]byte("no entry either"))
	f.skip(2)
	f.commit(lines("b"))
	c := f.fetch(fields{"offset": 0})
	c.data()
	m := c.fails(protocol.CodeCorrupt)
	if text := m.Header.Get(protocol.HeaderDesc); !strings.Contains(text, fmt.Sprintf("entry %d of log %s", broken, messages.LogName(f.id))) {
		t.Errorf("the description is %q", text)
	}
	expectGap(t, m, 1, 2)
	expectGap(t, f.fetch(fields{"offset": 2}).fails(protocol.CodeCorrupt), 2, 2)
	f.fetch(fields{"offset": 3}).wants(protocol.StatusEnd, "b")
}

func TestDamagedEntryWithoutRecordsIsSkipped(t *testing.T) {
	f := holed(t)
	f.commit(lines("a"))
	f.commit() // a mark
	f.append([]byte("no entry"))
	f.commit(lines("b"))
	f.lose(2)
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b")
}

func TestLogThatLostItsEndIsServedUpToThere(t *testing.T) {
	for name, damage := range map[string]func(*fixture){
		"one entry":       func(f *fixture) { f.commit(lines("lost")); f.lose(f.last) },
		"many":            func(f *fixture) { f.commit(lines("1")); f.commit(lines("2")); f.commit(lines("3")); f.lose(3, 4, 5) },
		"not decodable":   func(f *fixture) { f.append([]byte("no entry")) },
		"several of them": func(f *fixture) { f.append([]byte("x")); f.append([]byte("y")); f.append([]byte("z")) },
		"both":            func(f *fixture) { f.append([]byte("x")); f.commit(lines("lost")); f.lose(f.last) },
	} {
		t.Run(name, func(t *testing.T) {
			f := holed(t)
			f.commit(lines("a"))
			f.commit(lines("b"))
			damage(f)
			for _, request := range []fields{
				{"offset": 0}, {"from": "earliest", "follow": true}, {"offset": 0, "frames": true, "window_bytes": 1000}, {"time": time.Unix(0, 0)},
			} {
				c := f.fetch(request)
				c.data()
				c.data()
				m := c.fails(protocol.CodeCorrupt)
				expectGap(t, m, 2, -1)
				expectHeader(t, m, protocol.HeaderEndOffset, "2")
			}
			f.fetch(fields{"offset": 1, "max_records": 1}).wants(protocol.StatusEnd, "b")
			for _, request := range []fields{{"from": "latest"}, {"offset": 2}, {"offset": 2, "follow": true}} {
				expectGap(t, f.fetch(request).fails(protocol.CodeCorrupt), 2, -1)
			}
			f.fetch(fields{"offset": 3}).fails(protocol.CodeOffsetOutOfRange)
		})
	}
}

func TestLogOfWhichNothingIsLeft(t *testing.T) {
	f := holed(t)
	f.commit(lines("a"))
	f.commit(lines("b"))
	f.lose(1, 2)
	for _, start := range []fields{{"from": "earliest"}, {"from": "latest"}, {"offset": 0}, {"time": time.Unix(0, 0)}} {
		expectGap(t, f.fetch(start).fails(protocol.CodeCorrupt), 0, -1)
	}
	f.fetch(fields{"offset": 1}).fails(protocol.CodeOffsetOutOfRange)
}

// createAgain creates the log whose stream was lost, as soon as JetStream has removed the files of that one.
func (f *fixture) createAgain() {
	f.until(func() bool { return f.log.Create(f.context(), 1, 0) == nil })
}

func TestFollowerBeyondLostTailEndsAfterReconnection(t *testing.T) {
	f := holed(t)
	f.tell(lines("a"))
	f.tell(lines("b"))
	c := f.fetch(fields{"offset": 0, "follow": true})
	for range 2 {
		m := c.data()
		c.grant(m, len(m.Data))
	}
	// The server was restarted, and its log is shorter.
	f.inJetStream().LoseStream()
	f.log = partitionlog.New(f.conn, f.js, f.id)
	f.createAgain()
	f.last, f.offset = 1, 0
	f.commit(lines("a"))
	f.server.Refresh()
	m := c.beyondBeats()
	for m.Header.Get(protocol.HeaderOffset) != "" {
		m = c.beyondBeats()
	}
	expectHeader(t, m, protocol.HeaderError, "OFFSET_OUT_OF_RANGE")
	expectHeader(t, m, protocol.HeaderEndOffset, "1")
	f.fetch(fields{"offset": 2, "follow": true}).fails(protocol.CodeOffsetOutOfRange)
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a")
}

func TestReconnectionClearsEntryCache(t *testing.T) {
	f := holed(t)
	f.tell(lines("before"))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "before")
	// The server was restarted without the end of its log, and an owner has continued.
	f.inJetStream().LoseStream()
	f.createAgain()
	f.last, f.offset = 1, 0
	f.server.Refresh()
	f.commit(lines("after"))
	f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, "after")
}

func TestTimeIsFoundBehindAClockThatWasFarAhead(t *testing.T) {
	f := newFixture(t, nil)
	start := time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second)
	var rising uint64
	put := func(at time.Time, value string) {
		frame := protocol.EncodeRecord(protocol.Record{Value: []byte(value)})
		entry := f.stage([][]byte{frame}, []uint32{1})
		entry.Time, entry.RisingFrom = at.UnixNano(), rising
		f.append(messages.EncodeEntry(entry))
	}
	day := func(n int) time.Time { return start.Add(time.Duration(n) * 24 * time.Hour) }
	for n := range 5 {
		put(day(n), fmt.Sprint(n))
	}
	for n := range 3 { // the clock is 10 days ahead
		put(day(14).Add(time.Duration(n)*time.Hour), "ahead")
	}
	rising = f.last + 1
	for n := 5; n < 12; n++ {
		put(day(n), fmt.Sprint(n))
	}
	ahead := []string{"ahead", "ahead", "ahead"}
	days := []string{"5", "6", "7", "8", "9", "10", "11"}
	for _, cold := range []bool{true, false} {
		for n := 6; n < 12; n++ {
			if cold {
				f.server.entries.clear()
			}
			f.fetch(fields{"time": day(n)}).wants(protocol.StatusEnd, days[n-5:]...)
		}
		f.fetch(fields{"time": day(11).Add(1)}).wants(protocol.StatusEnd)
		f.fetch(fields{"time": day(14)}).wants(protocol.StatusEnd)
		f.fetch(fields{"time": day(5)}).wants(protocol.StatusEnd, slices.Concat(ahead, days)...)
		f.fetch(fields{"time": day(4)}).wants(protocol.StatusEnd, slices.Concat([]string{"4"}, ahead, days)...)
		f.fetch(fields{"time": day(4).Add(1)}).wants(protocol.StatusEnd, slices.Concat(ahead, days)...)
		f.fetch(fields{"time": day(0)}).wants(protocol.StatusEnd, slices.Concat([]string{"0", "1", "2", "3", "4"}, ahead, days)...)
	}
}

func TestLogWithoutBeginningIsDamaged(t *testing.T) {
	f := holed(t)
	f.commit(lines("a"))
	f.commit(lines("b"))
	f.commit(lines("c"))
	f.lose(1, 2)
	expectGap(t, f.fetch(fields{"from": "earliest"}).fails(protocol.CodeCorrupt), 0, 1)
	f.fetch(fields{"offset": 2}).wants(protocol.StatusEnd, "c")
}

func TestReadOnlyPartitionIsServedToItsEnd(t *testing.T) {
	f := newFixture(t, nil)
	f.tell(lines("a"))
	follower := f.fetch(fields{"offset": 0, "follow": true})
	follower.data()
	f.server.ReadOnly(f.id, messages.ReadOnly{Partition: f.id, Damage: "its log ends with entry 2"})
	expectGap(t, follower.fails(protocol.CodePartitionDamaged), 1, -1)
	c := f.fetch(fields{"from": "earliest"})
	c.data()
	if text := c.fails(protocol.CodePartitionDamaged).Header.Get(protocol.HeaderDesc); !strings.Contains(text, "its log ends with entry 2") {
		t.Errorf("the description is %q", text)
	}
	f.server.ReadOnly(f.id, messages.ReadOnly{})
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a")
}
