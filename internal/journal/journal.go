// Package journal is the journal of a log in JetStream: the stream that the logs of many partitions
// share. Package core/journal decides what is appended and what it means. This package appends and
// reads for it, and answers callers.
//
// An append to the log of one partition waits for the one that is under way, and then travels with
// all others that wait. So the syncs of a server do not grow with the number of partitions.
package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/internal/actor"
	core "laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
)

// Kind says what the entries of a journal are.
type Kind int

// The kinds.
const (
	Logs  Kind = iota // entries of the logs of partitions
	Marks             // marks of these logs, of each of which only the last one is needed
)

// Stream returns the name of the stream that has the journal of a log.
func (k Kind) Stream(log uint16) string {
	if k == Marks {
		return messages.MarksStream(log)
	}
	return messages.JournalStream(log)
}

func (k Kind) subject(log uint16) string {
	if k == Marks {
		return messages.MarksSubject(log)
	}
	return messages.JournalSubject(log)
}

// Config is what a Journal needs.
type Config struct {
	Conn *nats.Conn
	JS   jetstream.JetStream
	Kind Kind
	Log  uint16 // the number of the log
}

// Journal is the journal of one log, as one process appends to it and reads it. It is safe for
// concurrent use. Its goroutine owns the core and the calls.
type Journal struct {
	config  Config
	stream  string
	subject string
	mailbox *actor.Mailbox[any] // of calls, withdrawals, and events of the core
	actor.Routine
	work      sync.WaitGroup                     // for a read or a purge under way
	interrupt atomic.Pointer[context.CancelFunc] // ends the read early
	reads     context.Context                    // of reads of groups; it ends with the journal
	endReads  context.CancelFunc
	groups    *groupReader
	publisher jetstream.JetStream

	core     *core.Appender
	sent     *nats.Msg        // the append under way; nil if there is none
	calls    map[uint64]*call // by the ids of their events
	ids      uint64
	complete bool // whether it has been read to its end once
	trims    bool // whether a log was trimmed, so that this process purges
	purging  bool
	purgedAt time.Time // when the last purge has ended
	purgeErr error     // of the last purge
}

// mailboxSize bounds the calls that wait. A caller that finds no room waits.
const mailboxSize = 4096

// maxSections and maxBytes bound a group with several sections.
const (
	maxSections = 2000
	maxBytes    = 256 << 10
)

// Create creates the stream of a journal with this number of replicas. It may be repeated: a stream that exists
// stays as it is, also if an operator has changed its number of replicas.
func (k Kind) Create(ctx context.Context, js jetstream.JetStream, log uint16, replicas int) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name:        k.Stream(log),
		Description: fmt.Sprintf("Laneway: %s of log %d", map[Kind]string{Logs: "journal", Marks: "marks"}[k], log),
		Subjects:    []string{k.subject(log)},
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		AllowDirect: true,
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("create stream %s: %w", k.Stream(log), err)
	}
	return nil
}

// Open begins to read a journal, whose stream MUST exist. Calls wait until it has been read to its
// end.
func Open(config Config) *Journal {
	limits := core.Limits{Sections: maxSections, Bytes: min(maxBytes, int(config.Conn.MaxPayload())/2), LastOnly: config.Kind == Marks}
	j := &Journal{
		config: config, stream: config.Kind.Stream(config.Log), subject: config.Kind.subject(config.Log),
		mailbox: actor.NewMailbox[any](mailboxSize), core: core.NewAppender(nuid.Next(), limits), calls: make(map[uint64]*call),
	}
	j.reads, j.endReads = context.WithCancel(context.Background())
	j.groups = newGroupReader(j.readGroups)
	var err error
	if j.publisher, err = j.newPublisher(); err != nil {
		panic(err) // only options can be wrong, and these are constant
	}
	j.Go(j.run)
	return j
}

var errClosed = errors.New("the journal is closed")

// Close ends the journal. Calls that wait fail.
func (j *Journal) Close() {
	j.End(errClosed)
	j.Await()
}

// call is what a caller asks for.
type call struct {
	// event makes an event of the core with an id. If it is nil, the call is answered at once.
	event func(id uint64) core.Event
	// ask is called with the index when the call is answered without an error. It may be nil.
	ask func(*core.Index)
	// then is called with the answer. It may be nil.
	then func(core.Done)
	// trims says that the call makes an earlier entry unnecessary, so that this process purges.
	trims bool

	id       uint64 // owned by the goroutine of the journal, like the answer until answered is closed
	done     core.Done
	answered chan struct{}
}

// withdrawal ends a call.
type withdrawal struct{ call *call }

// do hands over a call and returns when it is answered. If ctx ends before that, the call is
// withdrawn, which is answered at once.
func (j *Journal) do(ctx context.Context, c *call) (core.Done, error) {
	if err := j.begin(ctx, c); err != nil {
		return core.Done{}, err
	}
	return j.await(ctx, c)
}

// begin hands over a call. Those that one goroutine hands over are handled in this order.
func (j *Journal) begin(ctx context.Context, c *call) error {
	c.answered = make(chan struct{})
	if err := j.mailbox.Put(ctx, c); err != nil {
		return errors.Join(core.ErrWithdrawn, err, j.Cause())
	}
	return nil
}

// await returns when a call is answered, or was withdrawn because ctx has ended.
func (j *Journal) await(ctx context.Context, c *call) (core.Done, error) {
	select {
	case <-c.answered:
		return c.done, c.done.Err
	case <-ctx.Done():
	}
	_ = j.mailbox.Add(withdrawal{c}) // an error means that the actor ends, which answers all calls
	<-c.answered
	if c.done.Err != nil {
		return c.done, errors.Join(c.done.Err, context.Cause(ctx))
	}
	return c.done, nil
}

// ask calls a function with the index. If look is set, the index knows everything that was durable
// before. The function MUST keep nothing of the index.
func (j *Journal) ask(ctx context.Context, look bool, ask func(*core.Index)) error {
	c := &call{ask: ask}
	if look {
		c.event = func(id uint64) core.Event { return core.Look{ID: id} }
	}
	if _, err := j.do(ctx, c); err != nil {
		return fmt.Errorf("read %s: %w", j.stream, err)
	}
	return nil
}

// Append appends a section to the log of a partition. It returns the sequence of the entry in its
// log when the section is durable. expected is as in Request of core/journal: the sequence of the last
// entry of the log. A log begins with SectionFirst, whose entry follows expected.
//
// Errors that wrap ErrMoved, ErrSealed, ErrNoLog or ErrWithdrawn of core/journal prove that the
// section is not in the journal and will not be. So does nats.ErrMaxPayload. After any other error
// it may be.
func (j *Journal) Append(ctx context.Context, expected uint64, section messages.Section) (sequence uint64, err error) {
	a, err := j.Begin(ctx, expected, section)
	if err != nil {
		return 0, err
	}
	done, err := a.Await(ctx)
	return done.Sequence, err
}

// AppendThen is Append without waiting. It calls then once with the result, from the goroutine of the
// journal or from its own, so then MUST NOT block.
func (j *Journal) AppendThen(ctx context.Context, expected uint64, section messages.Section, then func(sequence uint64, err error)) {
	a, err := j.newAppending(expected, section)
	if err != nil {
		then(0, err)
		return
	}
	c := &a.call
	c.answered = make(chan struct{})
	// The journal watches the context once it has the call. A withdrawal before that would be of no call.
	event, stop := c.event, func() bool { return false }
	c.event = func(id uint64) core.Event {
		stop = context.AfterFunc(ctx, func() {
			_ = j.mailbox.Add(withdrawal{c}) // an error means that the actor ends, which answers all calls
		})
		return event(id)
	}
	c.then = func(done core.Done) {
		stop()
		if done.Err != nil {
			then(0, a.failed(errors.Join(done.Err, context.Cause(ctx))))
		} else {
			then(done.Sequence, nil)
		}
	}
	// The callers are bounded: each log has one append under way.
	if err := j.mailbox.Add(c); err != nil {
		then(0, a.failed(errors.Join(core.ErrWithdrawn, err, j.Cause())))
	}
}

// Appending is an append that has begun.
type Appending struct {
	journal *Journal
	request core.Request
	call    call
}

func (j *Journal) newAppending(expected uint64, section messages.Section) (*Appending, error) {
	a := &Appending{journal: j, request: core.Request{Expected: expected, Section: section}}
	// A group that is too large would be tried again forever, and hold up all others.
	if most := j.config.Conn.MaxPayload(); int64(len(section.Entry)+messages.MaxSectionOverhead) > most {
		return nil, a.failed(fmt.Errorf("an entry of %d bytes, with at most %d in a message: %w", len(section.Entry), most, nats.ErrMaxPayload))
	}
	a.call.trims = j.config.Kind == Marks && section.Kind == messages.SectionNext
	a.call.event = func(id uint64) core.Event {
		r := a.request
		r.ID = id
		return r
	}
	return a, nil
}

// Begin begins an append. Several appends to a log may be under way: each expects the one before. A
// group can have all of them.
func (j *Journal) Begin(ctx context.Context, expected uint64, section messages.Section) (*Appending, error) {
	a, err := j.newAppending(expected, section)
	if err != nil {
		return nil, err
	}
	if err := j.begin(ctx, &a.call); err != nil {
		return nil, a.failed(err)
	}
	return a, nil
}

// Await returns when an append has ended, as Append does.
func (a *Appending) Await(ctx context.Context) (core.Done, error) {
	done, err := a.journal.await(ctx, &a.call)
	if err != nil {
		return core.Done{}, a.failed(err)
	}
	return done, nil
}

func (a *Appending) failed(err error) error {
	return fmt.Errorf("append to %s after entry %d of log %+v: %w", a.journal.stream, a.request.Expected, a.request.Section.Log, err)
}

// State returns the extent of a log, with all entries that were durable before the call; false if
// the log does not exist.
func (j *Journal) State(ctx context.Context, id messages.LogID) (state core.State, exists bool, err error) {
	err = j.ask(ctx, true, func(x *core.Index) { state, exists = x.State(id) })
	return state, exists, err
}

// Logs returns the extents of the logs that keep returns true for, with all entries that were durable before
// the call. keep runs on the goroutine of the journal.
func (j *Journal) Logs(ctx context.Context, keep func(messages.LogID, core.State) bool) (logs map[messages.LogID]core.State, err error) {
	logs = make(map[messages.LogID]core.State)
	err = j.ask(ctx, true, func(x *core.Index) {
		for id, state := range x.All() {
			if keep(id, state) {
				logs[id] = state
			}
		}
	})
	return logs, err
}

// Later returns the incarnations of a log above its own, with all that were durable before the call.
func (j *Journal) Later(ctx context.Context, id messages.LogID) (incarnations []uint32, err error) {
	err = j.ask(ctx, true, func(x *core.Index) { incarnations = x.Later(id) })
	return incarnations, err
}
