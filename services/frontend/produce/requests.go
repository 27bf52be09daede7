package produce

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// request is an admitted request, as far as it is needed for its answer.
type request struct {
	partition *Partition
	reply     string
	bytes     int64
	span      span
}

// open starts admitting requests, unless it has before or the frontend is stopping. It does not
// wait for the server to have the subscriptions.
func (p *Partition) open() (opened bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.intake != nil || p.service.closing.Load() || p.refusal.Load() != nil {
		return false
	}
	config := &p.service.config
	log := config.Logger.With(zap.Stringer("partition", p.id))
	in, err := openIntake(p.service.arrivals, subjectsOf(p.Topic(), p.id), p.admit, log)
	if err != nil {
		log.Error("the frontend cannot subscribe to the produce subjects of the partition", zap.Error(err))
		return false
	}
	p.intake = in
	p.service.backlog.add(in)
	return true
}

// close stops admitting requests. It returns when all delivered ones are admitted or
// rejected.
func (p *Partition) close() {
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

// admit is the callback of the intake. It checks a request and puts it into the mailbox, in
// the order of arrival. It never waits: a request that cannot be admitted is answered with
// an error at once, so that the next one is not delayed.
//
// The cheapest checks come first. Under overload almost all requests are rejected, so a
// rejection must cost less than handling a request.
func (p *Partition) admit(m *nats.Msg) {
	p.service.backlog.arrived()
	if p.service.replaced() {
		return
	}
	reply := protocol.ReplyTo(m.Reply)
	if refusal := p.refusal.Load(); refusal != nil {
		p.service.refused.Add(1)
		p.fail(reply, refusal)
		return
	}
	if refusal := p.service.config.Roles().Refusal; refusal != nil {
		p.reject(reply, refusal)
		return
	}
	if over := p.share.over(int64(len(m.Data))); over != nil {
		p.reject(reply, over) // before the request is parsed, which would cost more
		return
	}
	produce, err := p.read(m)
	if err != nil {
		p.service.refused.Add(1)
		p.fail(reply, err)
		return
	}
	r := &request{partition: p, reply: reply, bytes: produce.Bytes}
	if over := p.share.admit(r.bytes); over != nil {
		p.reject(reply, over)
		return
	}
	r.span, produce.Trace = p.spans.start(produce)
	produce.Partition, produce.Request = p.id, r
	// The admission bounds the requests in the mailbox. An error means that the frontend was
	// replaced, and does not answer any more.
	if p.log.mailbox.Add(produce) != nil {
		p.share.release(r.bytes)
		p.spans.end(r.span, core.Answer{Error: p.ending(nil).Refusal()})
	}
}

// read checks and parses a request.
func (p *Partition) read(m *nats.Msg) (core.Produce, *protocol.Error) {
	if err := transport.ReadHeader(m); err != nil {
		return core.Produce{}, err
	}
	m.Reply = protocol.ReplyTo(m.Reply)
	return parse(m, p.Topic(), p.stream, p.service.config.Conn.MaxPayload(), p.nextOwn)
}

// nextOwn returns the name of a lane for a single request.
func (p *Partition) nextOwn() string { return strconv.FormatUint(p.own.Add(1), 10) }

// answer sends answers in their order and releases the admission of their batches.
func (s *Service) answer(answers []core.Answer) {
	var buf []byte
	var before *Partition // of the last answer
	var wanted bool
	fetches := s.config.Fetches
	for i := range answers {
		a := &answers[i]
		r := a.Request.(*request)
		p := r.partition
		if p != before {
			before, wanted = p, fetches.Wanted(p.id)
		}
		if a.Error != nil {
			a.Error = s.config.Roles().Explain(a.Error)
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
				fetches.Remember(a.Extent, a.Payload)
			}
		}
		p.share.release(r.bytes)
	}
}

// reject answers a request with an error that was encoded in advance.
func (p *Partition) reject(reply string, r *core.Rejection) {
	p.service.refused.Add(1)
	p.service.config.Failed(r.Err.Code)
	p.respond(reply, r.Answer)
}

// fail answers a producer with an error.
func (p *Partition) fail(reply string, err *protocol.Error) {
	p.service.config.Failed(err.Code)
	p.respond(reply, protocol.EncodeErrorResponse(err))
}

func (p *Partition) respond(reply string, data []byte) {
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
