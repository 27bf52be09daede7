package frontend

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// spareMailbox is what a mailbox holds besides the batches that are admitted.
const spareMailbox = 4096

// partition is the actor of one partition. The core belongs to its goroutine.
type partition struct {
	id      protocol.Partition
	stream  string // of the log
	topic   protocol.Topic
	service *Service
	mailbox *actor.Mailbox[Event]
	share   *share
	spans   spans
	stats   atomic.Pointer[Stats]
	ready   chan struct{}                  // closed when requests are admitted
	end     atomic.Pointer[protocol.Error] // what is answered once the actor has ended
	own     atomic.Uint64                  // counts the lanes of requests that share their order with no other

	mu     sync.Mutex
	intake *intake // nil before ready and after closing
}

// request is what is needed to answer a producer.
type request struct {
	reply string
	bytes int64
	span  span
}

// committed is a commit with its entry, as the mailbox carries it.
type committed struct {
	CommittedEntry
	message messages.Committed
}

func (s *Service) partition(topic protocol.Topic, id protocol.Partition) *partition {
	if _, err := topic.FitPayload(s.config.Conn.MaxPayload()); err != nil && id.Number == 0 {
		s.config.Logger.Warn("NATS' max_payload has become too small for a topic; its largest records are refused",
			zap.String("topic", topic.Name), zap.Error(err))
	}
	return &partition{
		id: id, stream: id.Stream(), topic: topic, service: s,
		mailbox: actor.NewMailbox[Event](s.admission.limits.PartitionBatches + spareMailbox),
		share:   &share{of: s.admission}, spans: newSpans(s.config.Telemetry, id), ready: make(chan struct{}),
	}
}

// Receive hands a message to the actor.
func (p *partition) Receive(ctx context.Context, m messages.Message) {
	var event Event = m
	if c, ok := m.(messages.Committed); ok {
		entry, err := messages.DecodeEntry(c.Entry)
		if err != nil {
			p.service.config.Logger.Error("a committed entry cannot be read", zap.Stringer("partition", p.id), zap.Error(err))
			return
		}
		event = committed{CommittedEntry{p.id, entry}, c}
		if p.service.number() == 0 {
			p.service.fetches.Committed(c, entry) // nobody takes it from the mailbox yet
			return
		}
	}
	// An error means that the actor is ending; nobody waits for what it held.
	_ = p.mailbox.Put(ctx, event)
}

// Run is the actor's goroutine.
func (p *partition) Run(ctx context.Context) {
	log := p.service.config.Logger.With(zap.Stringer("partition", p.id))
	if err := p.service.fetches.Open(p.topic, int(p.id.Number)); err != nil {
		log.Error("the partition cannot be fetched", zap.Error(err))
	}
	select {
	case <-p.service.claimed:
	case <-ctx.Done():
		p.mailbox.Close()
		p.service.fetches.Close(p.id, endOf(context.Cause(ctx), p.service.Err()))
		return
	}
	core := NewCore(p.id, p.service.number(), p.service.config.Times)
	first := time.Now()
	p.do(core.Step(first, nil))
	p.mailbox.Run(ctx, p.service.config.Times.Heartbeat, func(now time.Time, events []Event) bool {
		if p.service.Err() != nil {
			return false
		}
		fx := p.step(core, now, events)
		gather(ctx, len(events))
		if fx.Fenced != 0 {
			next, err := p.nextEpoch(ctx, fx.Fenced)
			if err != nil {
				return false
			}
			p.answer(core.Abandon(protocol.CodeOutcomeUnknown))
			core = NewCore(p.id, next, p.service.config.Times)
		}
		return true
	})
	end := endOf(context.Cause(ctx), p.service.Err())
	p.end.Store(end)
	p.service.fetches.Close(p.id, end) // fetches need not wait for what is still to be refused
	p.close()
	p.abandon(core, end)
}

// endOf returns what those hear who use a partition when its actor ends: for what cause
// of its context, or because the service has ended by itself, which is that it was
// replaced. Of these ends only the deletion of the topic is final.
func endOf(cause, replaced error) *protocol.Error {
	switch {
	case errors.Is(cause, supervisor.ErrDeleted):
		return protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	case replaced != nil:
		return protocol.NewError(protocol.CodeNotOwner, "a younger frontend has taken over")
	case errors.Is(cause, supervisor.ErrRenewed):
		return protocol.NewError(protocol.CodeNotOwner, "the log of the partition is continued in another stream")
	default:
		return protocol.NewError(protocol.CodeNotOwner, "the frontend stops")
	}
}

const (
	// crowd is how many events of a turn say that requests come one after the other.
	crowd = 4
	// gatherTime is how long the next turn then waits for more: every turn costs a
	// message and a turn of each service that follows.
	gatherTime = 500 * time.Microsecond
)

// gather lets requests come together while there are many. One that comes alone
// never waits.
func gather(ctx context.Context, events int) {
	if events < crowd {
		return
	}
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// nextEpoch takes an epoch above the highest known, for as long as it takes. The
// error says that a younger frontend runs, or that the actor ends.
func (p *partition) nextEpoch(ctx context.Context, highest uint64) (uint64, error) {
	for {
		next, err := p.service.fenced(ctx, highest)
		if err == nil || errors.Is(err, ownership.ErrReplaced) || ctx.Err() != nil {
			return next, err
		}
		p.service.config.Logger.Error("no new epoch could be taken; trying again",
			zap.Stringer("partition", p.id), zap.Error(err))
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// abandon answers what is unresolved when the actor ends: a batch with a ticket
// may be in the log, one without is not. An owner that was replaced is silent:
// its successor has answered later batches of the same producers by now.
func (p *partition) abandon(core *Core, end *protocol.Error) {
	answers := core.Abandon(protocol.CodeOutcomeUnknown)
	for _, e := range p.mailbox.Rest() {
		if produce, ok := e.(Produce); ok {
			answers = append(answers, Answer{
				Request: produce.Request, Lane: produce.Lane,
				Error: end,
			})
		}
	}
	if p.service.Err() == nil {
		p.answer(answers)
	}
}

// step runs the core on what waits, and shows readers what was committed once
// the payloads of the answered batches are in their cache.
func (p *partition) step(core *Core, now time.Time, events []Event) Effects {
	var shown []committed
	for i, e := range events {
		if c, ok := e.(committed); ok {
			shown = append(shown, c)
			events[i] = c.CommittedEntry
		}
	}
	fx := core.Step(now, events)
	stats := core.Stats()
	p.stats.Store(&stats)
	p.service.fetches.ReadOnly(p.id, stats.Damage)
	p.do(fx)
	for _, c := range shown {
		p.service.fetches.Committed(c.message, c.Entry)
	}
	return fx
}

func (p *partition) do(fx Effects) {
	p.service.wire.Send(fx.Send)
	p.answer(fx.Answers)
	if fx.Ready {
		p.open()
	}
}

// open starts admitting requests.
func (p *partition) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.intake != nil || p.service.closing.Load() {
		return
	}
	subjects := append([]string{p.id.ProduceSubject()}, p.topic.Subjects...)
	opened, err := openIntake(p.service.requested, subjects, p.admit, p.service.config.Logger.With(zap.Stringer("partition", p.id)))
	if err != nil {
		p.service.config.Logger.Error("the partition cannot be produced to", zap.Stringer("partition", p.id), zap.Error(err))
		return
	}
	p.intake = opened
	p.service.backlog.add(opened)
	if err := p.service.requested.Flush(time.Second); err != nil {
		p.service.config.Logger.Warn("the server has not confirmed a subscription yet", zap.Error(err))
	}
	close(p.ready)
}

// close stops admitting requests; those already delivered are still taken.
func (p *partition) close() {
	p.mu.Lock()
	opened := p.intake
	p.intake = nil
	p.mu.Unlock()
	if opened == nil {
		return
	}
	if err := opened.close(); err != nil {
		p.service.config.Logger.Warn("a subscription did not drain", zap.Stringer("partition", p.id), zap.Error(err))
	}
	p.service.backlog.remove(opened)
}

// admit is the callback of the intake: it checks a request and
// puts it into the mailbox, in the order of arrival. It never waits.
func (p *partition) admit(m *nats.Msg) {
	p.service.backlog.arrived()
	if p.service.Err() != nil {
		return // replaced, and silent: the successor has answered later requests
	}
	reply := protocol.ReplyTo(m.Reply)
	if refusal := p.service.roles.Load().refusal; refusal != nil {
		p.reject(reply, refusal)
		return
	}
	if over := p.share.over(int64(len(m.Data))); over != nil {
		p.reject(reply, over) // reading it would take longer than this
		return
	}
	r := &request{reply: reply}
	produce, err := p.read(m)
	if err != nil {
		p.service.refused.Add(1)
		p.fail(r.reply, err)
		return
	}
	r.bytes = int64(len(produce.Payload))
	if over := p.share.take(r.bytes); over != nil {
		p.reject(r.reply, over)
		return
	}
	r.span, produce.Trace = p.spans.start(produce)
	produce.Request = r
	if offerErr := p.mailbox.Offer(produce); offerErr != nil {
		p.share.give(r.bytes)
		p.service.refused.Add(1)
		err := protocol.NewError(protocol.CodeOverloaded, offerErr.Error())
		if errors.Is(offerErr, actor.ErrClosed) {
			err = protocol.NewError(protocol.CodeNotOwner, offerErr.Error())
			if end := p.end.Load(); end != nil {
				err = end
			}
		}
		p.spans.end(r.span, Answer{Error: err})
		p.fail(r.reply, err)
	}
}

// read checks and parses a request.
func (p *partition) read(m *nats.Msg) (Produce, *protocol.Error) {
	if err := transport.ReadHeader(m); err != nil {
		return Produce{}, err
	}
	m.Reply = protocol.ReplyTo(m.Reply)
	return parse(m, p.topic, p.stream, p.service.config.Conn.MaxPayload(), p.nextOwn)
}

// nextOwn names the lane of a request that shares its order with no other.
func (p *partition) nextOwn() string { return strconv.FormatUint(p.own.Add(1), 10) }

// answer sends answers in their order and gives back what the batches held.
func (p *partition) answer(answers []Answer) {
	var buf []byte
	wanted := len(answers) > 0 && p.service.fetches.Wanted(p.id)
	for i := range answers {
		a := &answers[i]
		r := a.Request.(*request)
		if a.Error != nil {
			a.Error = p.service.roles.Load().explain(a.Error)
		}
		p.spans.end(r.span, *a)
		if a.Error != nil {
			p.fail(r.reply, a.Error)
		} else {
			buf = protocol.AppendProduceAck(buf[:0], protocol.ProduceAck{
				Stream: p.stream, Sequence: uint64(a.Offset) + 1, Duplicate: a.Duplicate,
				Topic: p.id.Topic, Partition: p.id.Number, Offset: a.Offset, Records: a.Records,
				Ticket: a.Number, Epoch: a.Epoch,
			})
			p.respond(r.reply, buf)
			if wanted && a.Extent.Key != "" {
				p.service.fetches.Remember(a.Extent, a.Payload)
			}
		}
		p.share.give(r.bytes)
	}
}

// reject answers a request that is over a limit, or that nothing could come of.
func (p *partition) reject(reply string, over *rejection) {
	p.service.refused.Add(1)
	p.service.errors.add(kindProduce, over.err.Code)
	p.respond(reply, over.answer)
}

// fail answers a producer with an error.
func (p *partition) fail(reply string, err *protocol.Error) {
	p.service.errors.add(kindProduce, err.Code)
	p.respond(reply, protocol.EncodeErrorResponse(err))
}

func (p *partition) respond(reply string, data []byte) {
	if reply == "" {
		return
	}
	if err := p.service.config.Conn.Publish(reply, data); err != nil {
		p.service.unsent.Add(1)
		if p.service.losing.Begins(time.Now()) {
			p.service.config.Logger.Warn("producers could not be answered; laneway_frontend_answers_lost_total counts them", zap.Stringer("partition", p.id), zap.Error(err))
		}
	}
}
