package frontend

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
)

// probes asks the other roles whether they take messages. Its roleWatch belongs to one goroutine.
type probes struct {
	service *Service
	prefix  string // of the subjects where answers come
	answers chan *nats.Msg
	sub     *nats.Subscription
	watch   *roleWatch
}

// noResponders is the status of the answer that NATS gives when nothing subscribes to a subject.
const noResponders = "503"

// newProbes subscribes to the answers.
func newProbes(s *Service) (*probes, error) {
	const most = 64 // far more than arrive in a round
	p := &probes{
		service: s, prefix: messages.ProbePrefix + nuid.Next() + ".",
		answers: make(chan *nats.Msg, most), watch: newRoleWatch(s.config.Times.Deadline),
	}
	s.roles.Store(p.watch.Status())
	var err error
	p.sub, err = s.config.Conn.ChanSubscribe(p.prefix+"*", p.answers)
	return p, err
}

// run asks and listens until ctx ends.
func (p *probes) run(ctx context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	p.round(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.round(ctx)
		case m := <-p.answers:
			p.answered(m)
		}
	}
}

// round asks every role. Probes that have not reached the server within patience count
// for nothing.
func (p *probes) round(ctx context.Context) {
	const patience = 2 * time.Second
	for len(p.answers) > 0 {
		p.answered(<-p.answers)
	}
	p.step(roundBegins{})
	conn := p.service.config.Conn
	for i, d := range downstream {
		if err := conn.PublishRequest(d.probe, p.prefix+strconv.Itoa(i), nil); err != nil {
			p.step(roundFails{}) // the connection is down, which says so itself
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := conn.FlushWithContext(ctx); err != nil {
		p.step(roundFails{})
	}
}

func (p *probes) answered(m *nats.Msg) {
	role, err := strconv.Atoi(strings.TrimPrefix(m.Subject, p.prefix))
	if err != nil || role < 0 || role >= len(downstream) {
		return // no role was asked to answer there
	}
	if m.Header.Get("Status") == noResponders {
		p.step(roleAbsent{role})
		return
	}
	p.step(roleAnswers{role})
}

func (p *probes) step(event any) {
	changes := p.watch.Step(time.Now(), event)
	p.service.roles.Store(p.watch.Status())
	log := p.service.config.Logger
	for _, c := range changes {
		if c.silent == "" {
			log.Info("a role answers again", zap.String("role", c.role), zap.Duration("after", c.after))
			continue
		}
		log.Error(c.silent+"; producers get no acknowledgements until one answers", zap.String("role", c.role))
	}
}
