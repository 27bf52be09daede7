package fetch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1}, ID: 7}.Partition(0)

// modelLog is a log in memory that can be damaged.
type modelLog struct {
	first    uint64 // sequence of the first entry
	entries  []modelEntry
	next     int64 // offset of the next record
	gap      int64 // offsets that the next entry leaves out
	time     int64
	payloads map[int64]Payload // by the offset of the batch
	modelArchive
}

type modelEntry struct {
	messages.Entry
	lost, corrupt bool
}

func newLog() *modelLog {
	return &modelLog{first: 1, time: 1000, payloads: make(map[int64]Payload)}
}

// logOf returns a log with one entry for each list of batches, and a batch for each
// number of records.
func logOf(entries ...[]int) *modelLog {
	l := newLog()
	for _, batches := range entries {
		l.commit(batches...)
	}
	return l
}

func (l *modelLog) last() uint64 { return l.first + uint64(len(l.entries)) - 1 }

func (l *modelLog) at(sequence uint64) *modelEntry { return &l.entries[sequence-l.first] }

// commit appends an entry of batches with so many records; without any it is a barrier.
func (l *modelLog) commit(batches ...int) {
	frames := make([][]protocol.Record, len(batches))
	next := l.next
	for i, records := range batches {
		for range records {
			frames[i] = append(frames[i], protocol.Record{Value: strconv.AppendInt(nil, next, 10)})
			next++
		}
	}
	l.commitRecords(frames...)
}

func (l *modelLog) commitRecords(batches ...[]protocol.Record) {
	l.time += 10
	e := messages.Entry{TopicID: partition.TopicID, BaseOffset: l.next, Gap: l.gap, Time: l.time}
	l.gap = 0
	for _, records := range batches {
		var frame protocol.FrameBuilder
		for _, r := range records {
			frame.Append(r)
		}
		payload := frame.Take()
		l.payloads[l.next] = Payload{Bytes: payload}
		e.Batches = append(e.Batches, messages.Placeholder{
			Batch:  messages.Batch{Records: uint32(len(records))},
			Extent: messages.Extent{Key: "object", Offset: l.next, Length: int64(len(payload))},
		})
		l.next += int64(len(records))
	}
	l.entries = append(l.entries, modelEntry{Entry: e})
}

func (l *modelLog) skip(offsets int64) { l.gap, l.next = l.gap+offsets, l.next+offsets }

func (l *modelLog) state() LogState {
	s := LogState{First: l.last() + 1, Last: l.last(), History: l.history}
	for i := range l.entries {
		e := &l.entries[i]
		if !e.lost && l.first+uint64(i) > l.purged {
			s.First = min(s.First, l.first+uint64(i))
		}
		if !e.lost && !e.corrupt {
			s.Readable, s.Offset = l.first+uint64(i), e.NextOffset()
		}
	}
	if s.Readable < s.Last {
		s.Damage = protocol.NewError(protocol.CodeCorrupt, "the log has lost its end")
	}
	return s
}

func (l *modelLog) read(q Read) Event {
	if q.History.Archived() {
		return l.readArchived(q)
	}
	var found []messages.LoggedEntry
	for s := max(q.From, l.first, l.purged+1); s <= l.last() && len(found) < q.Limit; s++ {
		e := l.at(s)
		switch {
		case e.lost:
		case e.corrupt && len(found) == 0:
			return Failed{Err: protocol.Errorf(protocol.CodeCorrupt, "entry %d cannot be decoded", s)}
		case e.corrupt:
			return Entries{found}
		default:
			found = append(found, messages.LoggedEntry{Sequence: s, Entry: e.Entry})
		}
	}
	if len(found) == 0 {
		return Failed{Err: protocol.Errorf(protocol.CodeUnavailable, "entry %d is not there", q.From)}
	}
	return Entries{found}
}

// rig is a shell in memory: it answers questions at once and writes down what is sent.
type rig struct {
	testing.TB
	log     *modelLog
	end     LogEnd
	moves   uint64
	deleted bool

	core   *Core
	now    time.Time
	wake   time.Time
	events []Event // for the next step
	last   *Status
	out    []string
	most   int // bytes of the messages of a step, at most

	fails func(m *Message) *protocol.Error // why a message cannot be sent; nil: all can
	saw   func(m *Message)                 // each message that is sent; nil is not needed
	asks  func(q Question)                 // each question; nil is not needed
}

var testSettings = Settings{Heartbeat: 5 * time.Second, CreditTimeout: 30 * time.Second, StorePatience: 10 * time.Second}

func newRig(t testing.TB, log *modelLog, request string) *rig {
	t.Helper()
	parsed, err := Parse([]byte(request))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	return &rig{TB: t, log: log, core: New(partition, parsed, testSettings, now), now: now}
}

// commits is an entry of which the fetch hears.
func (r *rig) commits(batches ...int) {
	r.log.commit(batches...)
	r.advance()
}

func (r *rig) advance() {
	s := r.log.state()
	r.end.Advance(r.now, LogState{Last: s.Last, Readable: s.Readable, Offset: s.Offset, Damage: s.Damage, History: s.History})
}

// run steps the core until it waits or the fetch has ended, and returns what was sent.
func (r *rig) run(events ...Event) string {
	r.Helper()
	r.events = append(r.events, events...)
	for steps := 0; r.last == nil; steps++ {
		if steps > 100_000 {
			r.Fatal("the fetch neither waits nor ends")
		}
		if moves := r.end.Moves(); moves != r.moves {
			r.moves = moves
			r.events = append([]Event{Moved{r.end.Known()}}, r.events...)
		}
		events := r.events
		r.events = nil
		fx := r.core.Step(r.now, events)
		if len(fx.Send) > maxSend {
			r.Fatalf("%d messages in a step", len(fx.Send))
		}
		if fx.End != nil {
			r.last = fx.End
			r.out = append(r.out, describe(fx.End))
			break
		}
		if r.send(fx.Send) {
			continue
		}
		if fx.Confirm && r.end.Confirm(r.now, testSettings.Heartbeat) {
			r.end.Advance(r.now, r.log.state())
		}
		if fx.Ask != nil {
			r.answer(fx.Ask)
			continue
		}
		if !fx.More && r.moves == r.end.Moves() {
			r.wake = fx.Wake
			break
		}
	}
	return r.told()
}

// told returns what was sent since it was last called.
func (r *rig) told() string {
	out := strings.Join(r.out, "; ")
	r.out = nil
	return out
}

func (r *rig) send(messages []Message) (failed bool) {
	bytes := 0
	for i := range messages {
		bytes += len(messages[i].Data)
	}
	r.most = max(r.most, bytes)
	for i := range messages {
		m := &messages[i]
		if r.fails != nil && m.Status == nil {
			if err := r.fails(m); err != nil {
				r.events = append([]Event{SendFailed{i, err}}, r.events...)
				return true
			}
		}
		if r.saw != nil {
			r.saw(m)
		}
		switch {
		case m.Status != nil:
			r.out = append(r.out, describe(m.Status))
		case m.Records > 0:
			r.out = append(r.out, fmt.Sprintf("[%d +%d]", m.Offset, m.Records))
		default:
			r.out = append(r.out, string(m.Data))
		}
	}
	return false
}

func (r *rig) answer(q Question) {
	if r.asks != nil {
		r.asks(q)
	}
	switch q := q.(type) {
	case LookUp:
		r.end.Advance(r.now, r.log.state())
		r.events = append(r.events, LookedUp{r.log.state()})
	case Narrow:
		r.events = append(r.events, r.log.narrow(q))
	case Read:
		r.events = append(r.events, r.log.read(q))
	case Load:
		var loaded []Payload
		for _, x := range q.Extents {
			loaded = append(loaded, r.log.payload(x))
		}
		r.events = append(r.events, Loaded{loaded, 0.5})
	case IsDeleted:
		r.events = append(r.events, Deleted{r.deleted})
	}
}

// describe returns a status in short: its code or error, the offsets without records,
// where the consumer continues, and the end of the partition.
func describe(s *Status) string {
	text := s.Code
	if s.Err != nil {
		text = s.Err.Code.Kind().Name
	}
	if s.GapFrom != Unknown {
		text += fmt.Sprintf(" %d-%s", s.GapFrom, offset(s.GapTo))
	}
	if s.LogStart != Unknown {
		text += " from " + offset(s.LogStart)
	}
	return text + " next " + offset(s.Next) + " of " + offset(s.End)
}

func offset(n int64) string {
	if n == Unknown {
		return "?"
	}
	return strconv.FormatInt(n, 10)
}

// expect checks what is sent until the fetch waits or ends.
func (r *rig) expect(want string, events ...Event) {
	r.Helper()
	if got := r.run(events...); got != want {
		r.Fatalf("sent %q, want %q", got, want)
	}
}

// pass lets time pass, and steps the core whenever it asks for it.
func (r *rig) pass(d time.Duration) string {
	r.Helper()
	until := r.now.Add(d)
	var out []string
	for r.last == nil && !r.wake.IsZero() && !r.wake.After(until) {
		r.now = r.wake
		if told := r.run(); told != "" {
			out = append(out, told)
		}
	}
	r.now = until
	return strings.Join(out, "; ")
}

func word(text string) Control { return Control{Data: []byte(text)} }

// payloadOf replaces the payload of the batch at an offset.
func (l *modelLog) payloadOf(offset int64, p Payload) {
	if _, ok := l.payloads[offset]; !ok {
		panic("there is no batch at " + strconv.FormatInt(offset, 10))
	}
	l.payloads[offset] = p
}

func (l *modelLog) lose(sequences ...uint64) {
	for _, s := range sequences {
		l.at(s).lost = true
	}
}

func (l *modelLog) corrupt(sequences ...uint64) {
	for _, s := range sequences {
		l.at(s).corrupt = true
	}
}

func corruptPayload() Payload {
	return Payload{Err: protocol.NewError(protocol.CodeCorrupt, "altered")}
}

func (l *modelLog) clone() *modelLog {
	c := *l
	c.entries, c.archive = slices.Clone(l.entries), slices.Clone(l.archive)
	return &c
}
