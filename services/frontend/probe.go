package frontend

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core/rolewatch"
)

// probes asks the other roles whether they take messages. run owns the watch.
type probes struct {
	conn    *nats.Conn
	log     *zap.Logger
	prefix  string // of the subjects where answers come
	answers chan *nats.Msg
	sub     *nats.Subscription
	watch   *rolewatch.Watch
	status  atomic.Pointer[rolewatch.Status] // what the watch knows
}

// noResponders is the status of the answer that NATS gives when nothing subscribes to a subject.
const noResponders = "503"

// newProbes subscribes to the answers.
func newProbes(conn *nats.Conn, log *zap.Logger, deadline time.Duration) (*probes, error) {
	const most = 64 // far more than arrive in a round
	p := &probes{
		conn: conn, log: log, prefix: messages.ProbePrefix + nuid.Next() + ".",
		answers: make(chan *nats.Msg, most), watch: rolewatch.New(deadline),
	}
	p.status.Store(p.watch.Status())
	var err error
	p.sub, err = conn.ChanSubscribe(p.prefix+"*", p.answers)
	return p, err
}

// run asks and listens until ctx ends.
func (p *probes) run(ctx context.Context) {
	tick := time.NewTicker(rolewatch.ProbeInterval)
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

// round sends a probe to every role. Probes that have not reached the server within
// patience prove nothing.
func (p *probes) round(ctx context.Context) {
	const patience = 2 * time.Second
	for len(p.answers) > 0 {
		p.answered(<-p.answers)
	}
	p.step(rolewatch.RoundBegins{})
	for i, d := range rolewatch.Roles {
		if err := p.conn.PublishRequest(d.Probe, p.prefix+strconv.Itoa(i), nil); err != nil {
			p.step(rolewatch.RoundFails{}) // the connection is down, which says so itself
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.conn.FlushWithContext(ctx); err != nil {
		p.step(rolewatch.RoundFails{})
	}
}

func (p *probes) answered(m *nats.Msg) {
	role, err := strconv.Atoi(strings.TrimPrefix(m.Subject, p.prefix))
	if err != nil || role < 0 || role >= len(rolewatch.Roles) {
		return // no role was asked to answer there
	}
	if m.Header.Get("Status") == noResponders {
		p.step(rolewatch.RoleAbsent{Role: role})
		return
	}
	p.step(rolewatch.RoleAnswers{Role: role, Data: string(m.Data)})
}

func (p *probes) step(event any) {
	changes := p.watch.Step(time.Now(), event)
	p.status.Store(p.watch.Status())
	for _, c := range changes {
		if c.Silent == "" {
			p.log.Info("a role answers again", zap.String("role", c.Role.Name), zap.Duration("after", c.After))
			continue
		}
		p.log.Error(c.Silent+"; until one answers, "+meanwhile(c.Role), zap.String("role", c.Role.Name))
	}
}

// meanwhile says what is so while no instance of a role answers.
func meanwhile(role *rolewatch.Role) string {
	if role.Background {
		return "nothing is archived or deleted, and a partition rejects producers once its log is full"
	}
	return "producers get no acknowledgements"
}
