package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

// Run carries out the plan. Every round measures each contender once. Rounds start with
// different contenders, so that none benefits from its place in the order. When Run
// returns, with or without an error, the servers that it has started are stopped and
// their data is removed.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	contenders := p.contenders()
	report := newReport(&p, contenders)
	for round := range p.Rounds {
		for turn := range contenders {
			at := (round + turn) % len(contenders)
			c := contenders[at]
			if p.Progress != nil {
				p.Progress(round*len(contenders)+turn, p.Rounds*len(contenders), fmt.Sprintf("round %d/%d, %s", round+1, p.Rounds, c.name()))
			}
			if err := settle(p.Folder); err != nil {
				return nil, err
			}
			measured, err := c.measure(ctx, &p)
			if err != nil {
				return nil, fmt.Errorf("round %d, %s: %w", round+1, c.name(), err)
			}
			report.Contenders[at].Rounds = append(report.Contenders[at].Rounds, measured)
		}
	}
	report.compare()
	return report, nil
}

const (
	// roundTimeout bounds a measurement beside the time that is measured.
	roundTimeout = 10 * time.Minute
	// removeTimeout bounds the deletion of topics from a Laneway that stays, also after an interrupt.
	removeTimeout = time.Minute
)

var errTooLong = fmt.Errorf("it took %s longer than it should; let it send less by --bytes, or to fewer partitions", roundTimeout)

// Round is one measurement.
type Round struct {
	Records int64        `json:"records"` // acknowledged, or read
	Bytes   int64        `json:"bytes"`   // of their values
	Seconds float64      `json:"seconds"`
	Value   float64      `json:"value"` // in the unit of the report
	Latency *Percentiles `json:"latency,omitempty"`
	// Of servers that were started for the measurement; Store only of Laneway.
	Store   *StoreUse `json:"store,omitempty"`
	Servers *Usage    `json:"servers,omitempty"`
}

// portTries is how often a measurement is started on other ports. Ports are chosen before
// the servers listen on them, so another process may take one in between.
const portTries = 5

// measure does the work once. It tries again with other ports if one of them is taken.
func (c *contender) measure(ctx context.Context, p *Plan) (round Round, err error) {
	for range portTries {
		if round, err = c.try(ctx, p); !errors.Is(err, syscall.EADDRINUSE) || ctx.Err() != nil {
			break
		}
	}
	return round, err
}

// try does the work once, on new servers.
func (c *contender) try(ctx context.Context, p *Plan) (round Round, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Duration+p.Warmup+roundTimeout, errTooLong)
	defer cancel()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}()
	s, err := launch(ctx, p, c)
	if err != nil {
		return Round{}, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	where, err := c.open(s, p, c.layout)
	if err != nil {
		return Round{}, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		err = errors.Join(err, where.remove(ctx))
	}()
	return p.workload().measure(ctx, p, s, where)
}

// measureProduce lets all producers send, first to warm up and then for the measurement.
func measureProduce(ctx context.Context, p *Plan, s *servers, where place) (round Round, err error) {
	if err := where.create(ctx); err != nil {
		return Round{}, err
	}
	crew, err := hire(ctx, p, s, where)
	if err != nil {
		return Round{}, err
	}
	defer func() { err = errors.Join(err, crew.close(ctx)) }()
	warm, err := crew.send(ctx, newAllowance(p.Warmup, p.Bytes/int64(p.RecordBytes)))
	if err != nil {
		return Round{}, err
	}
	acked := int64(0)
	round, err = s.meter(ctx, func() (err error) {
		acked, err = crew.send(ctx, newAllowance(p.Duration, p.Bytes/int64(p.RecordBytes)))
		return err
	})
	if err != nil {
		return Round{}, err
	}
	p.rate(&round, acked)
	return round, complete(ctx, where, warm+acked)
}

// rate notes in a round how many records there were, and how many a second.
func (p *Plan) rate(round *Round, records int64) {
	round.Records, round.Bytes = records, records*int64(p.RecordBytes)
	round.Value = float64(records) / round.Seconds
}

// complete checks that the server has exactly what was acknowledged.
func complete(ctx context.Context, where place, acked int64) error {
	has, err := where.records(ctx)
	if err != nil {
		return err
	}
	if has != acked || acked == 0 {
		return fmt.Errorf("%d records were acknowledged, the server has %d", acked, has)
	}
	return nil
}

// crew are producers that send at the same time, each with a connection of its own.
type crew struct {
	conns   []*nats.Conn
	senders []sender
}

// hire returns the producers of the plan.
func hire(ctx context.Context, p *Plan, s *servers, where place) (*crew, error) {
	c := &crew{}
	for n := range p.Producers {
		conn, err := connect(s.url)
		if err != nil {
			return nil, errors.Join(err, c.close(ctx))
		}
		c.conns = append(c.conns, conn)
		sender, err := where.sender(ctx, conn, n)
		if err != nil {
			return nil, errors.Join(err, c.close(ctx))
		}
		c.senders = append(c.senders, sender)
	}
	return c, nil
}

// send lets all producers send at the same time and returns how many records were
// acknowledged.
func (c *crew) send(ctx context.Context, allowance *allowance) (int64, error) {
	acked := make([]int64, len(c.senders))
	group, ctx := errgroup.WithContext(ctx)
	for n, s := range c.senders {
		group.Go(func() (err error) {
			acked[n], err = s.send(ctx, allowance)
			return err
		})
	}
	err := group.Wait()
	sum := int64(0)
	for _, n := range acked {
		sum += n
	}
	return sum, err
}

func (c *crew) close(ctx context.Context) error {
	var errs []error
	for _, s := range c.senders {
		errs = append(errs, s.close(ctx))
	}
	for _, conn := range c.conns {
		conn.Close()
	}
	return errors.Join(errs...)
}

// measureConsume fills a topic or stream, restarts the servers so that their caches are
// empty, and reads everything. A Laneway that the benchmark has not started is not restarted.
func measureConsume(ctx context.Context, p *Plan, s *servers, where place) (Round, error) {
	if err := where.create(ctx); err != nil {
		return Round{}, err
	}
	crew, err := hire(ctx, p, s, where)
	if err != nil {
		return Round{}, err
	}
	acked, sendErr := crew.send(ctx, newAllowance(roundTimeout, p.Bytes/int64(p.RecordBytes)))
	if err := errors.Join(sendErr, crew.close(ctx)); err != nil {
		return Round{}, err
	}
	if err := complete(ctx, where, acked); err != nil {
		return Round{}, err
	}
	if p.Server == "" {
		if err := s.stop(); err != nil {
			return Round{}, err
		}
		if err := s.restart(ctx, where); err != nil {
			return Round{}, err
		}
	}
	check := newChecker(p.RecordBytes)
	round, err := s.meter(ctx, func() error { return where.consume(ctx, acked, check) })
	if err != nil {
		return Round{}, err
	}
	if check.records != acked {
		return Round{}, fmt.Errorf("%d records were acknowledged, %d came back", acked, check.records)
	}
	p.rate(&round, acked)
	return round, nil
}
