package fetch

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/history/historytest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// mover commits records with rising numbers, and archives and purges them.
type mover struct {
	*fixture
	writer *historytest.Writer
	values []string
	tail   []stored // what is not archived
}

func newMover(t testing.TB, change func(*Config)) *mover {
	t.Helper()
	f := newFixture(t, change)
	return &mover{fixture: f, writer: historytest.New(t, f.store.Store, f.id), tail: []stored{f.created()}}
}

// commitNumbers commits entries of one record. The frontend hears of them if told is set.
func (m *mover) commitNumbers(n int, told bool) {
	m.Helper()
	for range n {
		m.values = append(m.values, fmt.Sprint(len(m.values)))
		s := m.commit(lines(m.values[len(m.values)-1]))
		m.tail = append(m.tail, s)
		if told {
			m.server.Committed(s.news(m.id))
		}
	}
}

// commitBatches commits an entry with batches of one record.
func (m *mover) commitBatches(n int) {
	m.Helper()
	batches := make([][]protocol.Record, n)
	for i := range batches {
		m.values = append(m.values, fmt.Sprint(len(m.values)))
		batches[i] = lines(m.values[len(m.values)-1])
	}
	m.tail = append(m.tail, m.commit(batches...))
}

// moveHistory archives and purges all but the last entries, and commits another record, whose entry
// has the history.
func (m *mover) moveHistory(keep int) messages.History {
	m.Helper()
	archived := m.tail[:len(m.tail)-keep]
	h := m.archive(m.writer, archived...)
	m.values = append(m.values, fmt.Sprint(len(m.values)))
	m.tail = append(slices.Clone(m.tail[len(archived):]), m.carry(h, lines(m.values[len(m.values)-1])))
	return h
}

func TestFetchFromEveryOffsetOfAnArchivedLog(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(20, false)
	m.moveHistory(0)
	m.commitNumbers(7, false)
	m.moveHistory(3) // the last three are in the log alone
	for offset := range len(m.values) + 1 {
		last := m.fetch(fields{"offset": offset}).wants(protocol.StatusEnd, m.values[offset:]...)
		expectOffsets(t, last, int64(len(m.values)), int64(len(m.values)))
	}
	m.fetch(fields{"from": "latest"}).wants(protocol.StatusEnd)
	m.fetch(fields{"from": "earliest", "frames": true}).wants(protocol.StatusEnd, m.values...)
}

func TestFollowersCrossAHistoryThatMoves(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(10, true)
	follow := func(request fields) *consumer {
		request["follow"] = true
		return m.fetch(request)
	}
	// One reads on as soon as it can. The other one has no credit while the history moves past it.
	fast, slow := follow(fields{"from": "earliest"}), follow(fields{"from": "earliest", "window_bytes": 1})
	stopped := slow.data()
	for round := range 8 {
		m.commitNumbers(5, round%2 == 0)
		m.moveHistory(round % 3)
	}
	m.commitNumbers(1, true)
	late := follow(fields{"offset": 30})
	slow.grant(stopped, 1)
	for name, reads := range map[string]struct {
		*consumer
		want []string
	}{"fast": {fast, m.values}, "slow": {slow, m.values[1:]}, "late": {late, m.values[30:]}} {
		for _, value := range reads.want {
			message := reads.beyondBeats()
			if message.Header.Get(protocol.HeaderOffset) == "" || string(message.Data) != value {
				t.Fatalf("%s got %q %v, want %q", name, message.Data, message.Header, value)
			}
			reads.grant(message, len(message.Data))
		}
	}
}

func TestPollerCrossesAHistoryThatMoves(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(3, false)
	for at := 0; at < 40; {
		m.commitNumbers(1, false)
		m.moveHistory(at % 2)
		values, last := m.fetch(fields{"offset": at, "max_records": 3}).rest()
		if !slices.Equal(values, m.values[at:min(at+3, len(m.values))]) {
			t.Fatalf("from %d: got %q", at, values)
		}
		at += len(values)
		expectHeader(t, last, protocol.HeaderNextOffset, fmt.Sprint(at))
	}
}

// A fetch that has looked up the log before entries are purged asks for them in vain, and must find
// them in the history.
func TestFetchFindsWhatWasPurgedSinceItHasStarted(t *testing.T) {
	m := newMover(t, nil)
	for i := range 600 { // more than one read
		m.values = append(m.values, fmt.Sprint(i))
	}
	m.tail = append(m.tail, m.commitEach(m.values...)...)
	c := m.fetch(fields{"from": "earliest", "window_bytes": 1})
	first := c.data()
	m.moveHistory(0)
	m.commitNumbers(1, false)
	c.grant(first, 1)
	values, last := c.rest()
	if want := m.values[1:600]; !slices.Equal(values, want) {
		t.Errorf("got %d records, want %d: %v", len(values), len(want), last.Header)
	}
}

// collect deletes the objects with the batches of some entries.
func (m *mover) collect(some []stored) {
	m.Helper()
	for _, s := range some {
		for _, b := range s.entry.Batches {
			must(m, m.store.Delete(m.context(), b.Extent.Key))
		}
	}
}

// A fetch has entries in its queue that refer to objects which are deleted by the time that it
// needs them.
func TestFetchFindsWhatWasCollectedSinceItHasStarted(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(50, false)
	tail := m.tail
	c := m.fetch(fields{"from": "earliest", "window_bytes": 1})
	first := c.data()
	m.moveHistory(0)
	m.collect(tail)
	c.grant(first, 1)
	for _, want := range m.values[1:50] {
		message := c.beyondBeats()
		if string(message.Data) != want {
			t.Fatalf("got %q %v, want %q", message.Data, message.Header, want)
		}
		c.grant(message, len(message.Data))
	}
}

func TestMissingObjectOfAnEntryThatIsNotArchivedIsDamage(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(5, false)
	m.moveHistory(2)
	m.collect(m.tail[:1])
	m.fetch(fields{"offset": 2, "max_records": 1}).wants(protocol.StatusEnd, "2")
	expectGap(t, m.fetch(fields{"offset": 3}).fails(protocol.CodeCorrupt), 3, 3)
	m.fetch(fields{"offset": 4}).wants(protocol.StatusEnd, m.values[4:]...)
}

func TestDamagedPageOfASegmentIsNamed(t *testing.T) {
	m := newMover(t, nil)
	for range 60 {
		m.commitBatches(50)
	}
	m.moveHistory(0)
	s := m.writer.Manifest.Segments[0]
	content, err := os.ReadFile(m.object(s.Key))
	must(t, err)
	footer, _, err := segment.ParseTail(s.Key, content, s.Size)
	must(t, err)
	page, next := footer.Pages[1], footer.Pages[2]
	content[page.Position+page.Length/2] ^= 4
	must(t, os.Chmod(m.object(s.Key), 0o600))
	must(t, os.WriteFile(m.object(s.Key), content, 0o600))

	values, last := m.fetch(fields{"from": "earliest"}).rest()
	if !slices.Equal(values, m.values[:page.Base]) {
		t.Errorf("got %d records, want %d", len(values), page.Base)
	}
	expectHeader(t, last, protocol.HeaderError, protocol.CodeCorrupt.Kind().Name)
	expectGap(t, last, page.Base, next.Base-1)
	m.fetch(fields{"offset": page.Base + 1, "max_records": 1}).fails(protocol.CodeCorrupt)
	m.fetch(fields{"offset": next.Base}).wants(protocol.StatusEnd, m.values[next.Base:]...)
}

func TestBatchThatCouldNotBeArchivedIsNamed(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(5, false)
	m.tail[3].payloads = [][]byte{nil} // offset 2
	m.moveHistory(0)
	c := m.fetch(fields{"from": "earliest"})
	c.data()
	c.data()
	last := c.fails(protocol.CodeCorrupt)
	expectGap(t, last, 2, 2)
	m.fetch(fields{"offset": 3}).wants(protocol.StatusEnd, m.values[3:]...)
}

// continueLog continues the log in the stream of its next incarnation, as an accepted loss does.
func (m *mover) continueLog(h messages.History) {
	m.Helper()
	m.server.Close(m.id, protocol.NewError(protocol.CodeUnavailable, "the log is continued"))
	m.topic.Incarnations = []uint32{1}
	m.id = m.topic.Partition(0)
	m.writer.Partition = m.id
	m.log = partitionlog.New(m.conn, m.js, m.id)
	m.last = 1000
	next, err := m.log.Continue(m.context(), 1, m.last)
	must(m, err)
	created := messages.Entry{TopicID: m.id.TopicID, Created: true, BaseOffset: h.End.Offset, History: h, Time: time.Now().UnixNano()}
	must(m, next.Append(m.context(), created))
	must(m, next.Finish(m.context()))
	m.tail = []stored{{sequence: m.last, entry: created}}
	must(m, m.server.Open(m.topic, 0))
	must(m, m.server.config.Conn.Flush())
}

// The sequences of the next incarnation begin far above those of the history.
func TestHistoryOfAnEarlierIncarnationIsReadWithoutAGap(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(5, false)
	h := m.moveHistory(0)
	m.values = m.values[:h.End.Offset] // the rest was lost
	m.offset = h.End.Offset
	m.continueLog(h)
	m.commitNumbers(4, false)
	read := func() {
		t.Helper()
		for offset := range len(m.values) {
			m.fetch(fields{"offset": offset}).wants(protocol.StatusEnd, m.values[offset:]...)
		}
		m.fetch(fields{"time": time.Unix(0, 0)}).wants(protocol.StatusEnd, m.values...)
	}
	read()
	m.moveHistory(1)
	read()
}

// Small segments are read to their end soon, and a remote store takes long for each request.
func TestNextSegmentIsReadAhead(t *testing.T) {
	m := newMover(t, nil)
	for range 3 {
		m.commitNumbers(3, false)
		m.moveHistory(0)
	}
	m.fetch(fields{"from": "earliest", "max_records": 1}).wants(protocol.StatusEnd, "0")
	next := m.writer.Manifest.Segments[1].First
	m.until(func() bool { return m.server.history.InMemory(m.writer.Manifest.History(), next) })
}
