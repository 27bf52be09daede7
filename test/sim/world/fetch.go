package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
)

// FetchScheduler decides what happens next to fetches, as Scheduler does to all else.
type FetchScheduler interface {
	// ToConsumer is a message on its way to a consumer: Receive. It returns false if the frontend
	// cannot send the message, because it knows that it is disconnected.
	ToConsumer(f *Fetch, m FetchMessage) (sent bool)
	// ToFetch is a credit or a cancellation on its way to a frontend: Control.
	ToFetch(f *Fetch, control string)
	// Ask is a question of a fetch: Answer, with the time of the frontend.
	Ask(f *Fetch, q fetch.Question)
	// Confirm is a look at the end of a log: Advance.
	Confirm(p *Process, of *Partition)
	// WakeFetch asks for Answer without an event at a time of the frontend's clock.
	WakeFetch(f *Fetch, at time.Time)
	// Refetch asks for Request once a fetch of the consumer has ended early.
	Refetch(c *Consumer)
}

// FetchMessage is a message of a fetch: a status, a frame, or a single record. A record is in
// Frame, and its Records is 0.
type FetchMessage struct {
	Attempt int // of the consumer
	Status  *fetch.Status
	Start   int64 // of the fetch, or fetch.Unknown
	Offset  int64
	Records uint32
	Frame   []byte
}

// Fetch is a fetch at a frontend.
type Fetch struct {
	Consumer *Consumer
	By       *Process
	Attempt  int

	of       *Partition
	core     *fetch.Core
	moves    uint64
	window   int64
	paced    bool
	sent     int64 // bytes
	credited int64 // that have arrived, at most
	over     bool
	Wake     time.Time // when it is stepped next without an event
}

func (f *Fetch) String() string { return fmt.Sprintf("fetch %d of %s", f.Attempt, f.Consumer) }

// Settings of fetches, in the proportions of production.
func (w *World) fetchSettings() fetch.Settings {
	return fetch.Settings{Heartbeat: w.Times.Heartbeat, CreditTimeout: 6 * w.Times.Heartbeat, StorePatience: 2 * w.Times.Heartbeat}
}

// OpenFetch starts a fetch at a frontend.
func (w *World) OpenFetch(p *Process, c *Consumer, attempt int, request protocol.FetchRequest) {
	body, err := json.Marshal(request)
	if err != nil {
		panic(err)
	}
	parsed, invalid := fetch.Parse(body)
	if invalid != nil {
		w.Violated("fetch: the request %s of %s is invalid: %v", body, c, invalid)
		return
	}
	if w.Tracing {
		w.Say("  %s starts fetch %d of %s%s", p, attempt, c, describeFetch(request))
	}
	of := w.Partitions[c.Partition]
	f := &Fetch{
		of: of, Consumer: c, By: p, Attempt: attempt, window: parsed.WindowBytes, paced: parsed.Paced(),
		core: fetch.New(of.ID, parsed, w.fetchSettings(), w.Clock(p)),
	}
	p.fetches = append(p.fetches, f)
	w.Answer(f)
}

// Answer steps a fetch with events, such as the answer to its question. Without events, it lets
// the fetch notice the time.
func (w *World) Answer(f *Fetch, events ...fetch.Event) {
	for !f.over && !f.By.Dead {
		end := &f.By.ends[f.of.Index]
		if moves := end.Moves(); moves != f.moves {
			f.moves = moves
			events = append([]fetch.Event{fetch.Moved{Known: end.Known()}}, events...)
		}
		fx := f.core.Step(w.Clock(f.By), events)
		events = nil
		if fx.End != nil {
			f.over = true
			if f.paced && fx.End.Err != nil && fx.End.Err.Code == protocol.CodeStoreUnavailable {
				w.Violated("fetch: %s ends because the object store is away: %v", f, fx.End.Err)
			}
			f.By.fetches = slices.DeleteFunc(f.By.fetches, func(o *Fetch) bool { return o == f })
			w.Fetches.ToConsumer(f, FetchMessage{Attempt: f.Attempt, Status: fx.End, Start: fx.End.Start})
			return
		}
		if failed := slices.IndexFunc(fx.Send, func(m fetch.Message) bool { return !w.sendFetched(f, &m) }); failed >= 0 {
			events = []fetch.Event{fetch.SendFailed{Message: failed, Err: errNotSent}}
			continue
		}
		if fx.Confirm && end.Confirm(w.Clock(f.By), w.Times.Heartbeat) {
			w.Fetches.Confirm(f.By, f.of)
		}
		if fx.Ask != nil {
			w.Fetches.Ask(f, fx.Ask)
		}
		if !fx.More {
			if f.Wake = fx.Wake; !f.Wake.IsZero() {
				w.Fetches.WakeFetch(f, fx.Wake)
			}
			return
		}
	}
}

var errNotSent = protocol.NewError(protocol.CodeUnavailable, "the frontend has no connection")

func (w *World) sendFetched(f *Fetch, m *fetch.Message) (sent bool) {
	if m.Records > 0 && f.window > 0 && f.sent-f.credited >= f.window {
		w.Violated("credit: %s sends offset %d with %d of %d bytes not credited", f, m.Offset, f.sent-f.credited, f.window)
	}
	f.sent += int64(len(m.Data))
	return w.Fetches.ToConsumer(f, FetchMessage{Attempt: f.Attempt, Status: m.Status, Start: m.Start, Offset: m.Offset, Records: m.Records, Frame: m.Data})
}

// Control hands a credit or a cancellation to a fetch.
func (w *World) Control(f *Fetch, text string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		f.credited = max(f.credited, n)
	}
	w.Answer(f, fetch.Control{Data: []byte(text)})
}

// State returns the state of the log, as its leader knows it.
func (l *Log) State() fetch.LogState {
	last := l.Last()
	first := &l.Committed[l.First-1].Entry.Entry
	return fetch.LogState{
		First: l.First, Begin: first.BaseOffset - first.Gap, Last: last, Readable: last,
		Offset: l.Committed[last-1].Entry.Entry.NextOffset(), History: l.History(),
	}
}

// Partition returns the partition that is read.
func (f *Fetch) Partition() *Partition { return f.of }

// LookedUp answers a look-up of a fetch.
func (w *World) LookedUp(f *Fetch, state fetch.LogState) {
	if f.By.Dead {
		return
	}
	w.Advance(f.By, f.of, state)
	w.Answer(f, fetch.LookedUp{State: state})
}

// Advance hands a state of the log to a frontend, and so to all fetches of it there.
func (w *World) Advance(p *Process, of *Partition, state fetch.LogState) {
	if p.Dead {
		return
	}
	end := &p.ends[of.Index]
	before := end.Moves()
	end.Advance(w.Clock(p), state)
	if end.Moves() != before {
		w.stepFetches(p, of)
	}
}

// Renew passes the state of the log to a frontend whose connection was lost. moves is what
// Broken returned, before the state was requested.
func (w *World) Renew(p *Process, of *Partition, state fetch.LogState, moves uint64) {
	if !p.Dead {
		p.ends[of.Index].Renew(w.Clock(p), state, moves)
		w.stepFetches(p, of)
	}
}

// Broken reports to all fetches of a frontend that its connection was lost. It returns how often
// the end of each log has moved for this frontend so far.
func (w *World) Broken(p *Process) (moves []uint64) {
	for _, of := range w.Partitions {
		w.stepFetches(p, of, fetch.Disconnected{})
	}
	for i := range p.ends {
		moves = append(moves, p.ends[i].Moves())
	}
	return moves
}

// stepFetches lets the fetches of a partition take events.
func (w *World) stepFetches(p *Process, of *Partition, events ...fetch.Event) {
	for _, f := range slices.Clone(p.fetches) {
		if f.of == of {
			w.Answer(f, events...)
		}
	}
}

var errClosed = protocol.NewError(protocol.CodeUnavailable, "the frontend was replaced")

// closeFetches ends the fetches of a frontend that was replaced.
func (w *World) closeFetches(p *Process) {
	for _, of := range w.Partitions {
		w.stepFetches(p, of, fetch.Closed{Why: errClosed})
	}
}

// Entries answers a Read with at most limit entries. In the place of entries that were purged it
// returns those after them, as JetStream does.
func (w *World) Entries(of *Partition, q fetch.Read, limit int) fetch.Event {
	if q.History.Archived() {
		return w.Archive.entries(q, limit)
	}
	from := max(q.From, of.Log.First)
	end := min(of.Log.Last(), from-1+uint64(limit))
	if from > end {
		return fetch.Failed{Err: protocol.NewError(protocol.CodeUnavailable, "the entry is not there yet")}
	}
	entries := make([]messages.LoggedEntry, 0, end+1-from)
	for _, n := range of.Log.Committed[from-1 : end] {
		entries = append(entries, n.Entry)
	}
	return fetch.Entries{Entries: entries}
}
