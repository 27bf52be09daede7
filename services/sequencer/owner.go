package sequencer

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/membership"
)

// follow makes the instance a member, and serves the logs that it owns, until ctx ends.
func (s *Service) follow(ctx context.Context) {
	number, err := s.registry.AwaitLogs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.Fail(err)
		}
		return
	}
	config := s.config.Membership
	config.Logs = number
	config.Changed = func(membership.View) { s.look() }
	m := membership.Join(config)
	s.joined.Store(m)
	for {
		select {
		case <-s.changed:
			s.assign(ctx, m, number)
		case <-ctx.Done():
			s.leave(m)
			return
		}
	}
}

// look makes the tenures follow from what the instance owns, soon.
func (s *Service) look() {
	select {
	case s.changed <- struct{}{}:
	default: // that is due already
	}
}

// assign begins and ends tenures, so that they are those of the logs that the instance owns. Whoever owns a
// log owns those of the same partitions of topics with other numbers of replicas, too: all whose numbers
// have the same remainder.
func (s *Service) assign(ctx context.Context, m *membership.Member, number int) {
	v := m.View()
	epochs := make(map[int]uint64)
	var next []member.GiveAway
	for _, o := range v.Owned {
		if to := v.Record.Logs[o.Log].Next; to != "" {
			next = append(next, member.GiveAway{Log: o.Log, To: to})
		} else {
			epochs[o.Log] = o.Epoch
		}
	}
	for _, l := range s.all() {
		n := int(l.number) % number
		epoch, owned := epochs[n]
		if slices.ContainsFunc(next, func(e member.GiveAway) bool { return e.Log == n }) {
			if err := l.handOver(); err != nil {
				s.config.Logger.Warn("the next owner of a log gets nothing that waits", zap.Uint16("log", l.number), zap.Error(err))
			}
			continue
		}
		if !owned {
			// What is to be given away is served until the record says so, because nobody else serves it before that.
			if n >= len(v.Record.Logs) || !v.Record.Logs[n].OwnedBy(s.config.Membership.Instance) {
				l.disown()
			}
			continue
		}
		// An error of Ask means that the service stops.
		switch above, err := l.own(n, epoch); {
		case err != nil:
			s.config.Logger.Error("a log cannot be served; another sequencer may do so", zap.Uint16("log", l.number), zap.Error(err))
			_ = m.Ask(ctx, member.GiveUp{Log: n, Epoch: epoch})
		case above != 0:
			_ = m.Ask(ctx, member.Raise{Log: n, Above: above})
		}
	}
	for _, e := range next {
		_ = m.Ask(ctx, e)
	}
}

// giveUpTime bounds how long an instance that stops tries to give up what nobody has taken.
const giveUpTime = time.Second

// handOverBeat is how often an instance that stops looks whether others have taken its logs.
const handOverBeat = 20 * time.Millisecond

// handOver hands all logs over to other instances. If there is none, it says that it gives them up, so
// that the next one need not wait until this one counts as gone.
func (s *Service) handOver(ctx context.Context) error {
	m := s.joined.Load()
	if m == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	err := m.Ask(bounded, member.Drain{})
	if err == nil {
		// What is not handed over in time is given up.
		_ = until(bounded, func() bool { v := m.View(); return len(v.Owned) == 0 || !v.Takers })
		_ = until(bounded, func() bool { return !slices.ContainsFunc(s.all(), (*log).handsOver) })
	}
	last, cancel := context.WithTimeout(ctx, giveUpTime)
	defer cancel()
	if err = errors.Join(err, until(last, func() bool { return s.giveUp(last, m) })); err != nil {
		s.config.Logger.Warn("other sequencers were not told that this one stops; they take its logs when its key has expired", zap.Error(err))
	}
	return nil
}

// giveUp asks to give up what the instance owns, and reports whether it owns nothing any more. Another instance may give
// it a log at any time, so it is called again and again.
func (s *Service) giveUp(ctx context.Context, m *membership.Member) bool {
	v := m.View()
	for _, o := range v.Owned {
		_ = m.Ask(ctx, member.GiveUp(o)) // an error means that ctx has ended, as the caller sees
	}
	return !slices.ContainsFunc(v.Record.Logs, func(l assignment.Log) bool { return l.OwnedBy(s.config.Membership.Instance) })
}

// until returns when something is so, or ctx ends.
func until(ctx context.Context, is func() bool) error {
	beat := time.NewTicker(handOverBeat)
	defer beat.Stop()
	for !is() {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave ends all tenures and the membership.
func (s *Service) leave(m *membership.Member) {
	for _, l := range s.all() {
		l.close()
	}
	if err := m.Leave(context.Background()); err != nil {
		s.config.Logger.Debug("the instance is listed until its key expires", zap.Error(err))
	}
}
