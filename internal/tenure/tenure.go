// Package tenure makes a service work on the logs that its instance owns, which package membership tells: it
// begins and ends the tenure of each, in the right epochs, and hands logs over. Losing a log ends its tenure, never
// the service. What a tenure does is up to the service.
package tenure

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

// Logs has the places of all logs in an instance of a role. It is safe for concurrent use; the goroutine of Run
// begins and ends tenures.
type Logs[T Tenure] struct {
	registry *topics.Registry
	config   membership.Config
	joined   atomic.Pointer[membership.Member] // nil until the number of logs is known
	unknown  atomic.Pointer[error]             // why that is, if nothing but its decision is missing; else nil
	total    atomic.Int64                      // logs of the cluster
	longest  time.Duration                     // that Prepare of a tenure may take
	stops    atomic.Bool                       // whether the service stops
	finishes atomic.Bool                       // whether tenures only finish what they have begun

	changed chan struct{} // has an element if what the instance owns, or which logs there are, may have changed

	mu     sync.Mutex
	places map[uint16]*Place[T]
}

// New returns an instance without places. The config says who the instance is; Logs and Changed are filled in. When the
// instance stops, the Prepare of a tenure may take as long as longest.
func New[T Tenure](registry *topics.Registry, config membership.Config, longest time.Duration) *Logs[T] {
	return &Logs[T]{registry: registry, config: config, longest: longest, changed: make(chan struct{}, 1), places: make(map[uint16]*Place[T])}
}

// Add adds the place of a log, which MUST NOT have one, and which has partitions. begin begins a tenure in an epoch, for the
// n-th log of the role's record; it MUST NOT use the place.
func (l *Logs[T]) Add(number uint16, begin func(n int, epoch uint64) (T, error)) *Place[T] {
	p := &Place[T]{number: number, log: l.config.Logger, begin: begin}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places[number] = p
	l.Look()
	return p
}

// all returns the places in the order of their numbers.
func (l *Logs[T]) all() []*Place[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Place[T], 0, len(l.places))
	for _, p := range l.places {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Place[T]) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Look makes tenures begin and end soon, as what has changed demands.
func (l *Logs[T]) Look() {
	select {
	case l.changed <- struct{}{}:
	default: // that is due already
	}
}

// Raise asks for an epoch of the n-th log of the role's record above one by which a tenure was fenced. The answer is a
// call of its Raise, or of End if the log is another instance's.
func (l *Logs[T]) Raise(ctx context.Context, n int, above uint64) {
	// An error means that the instance leaves.
	_ = l.joined.Load().Ask(ctx, member.Raise{Log: n, Above: above})
}

// View returns what the instance knows of its role; nothing before it is a member.
func (l *Logs[T]) View() membership.View {
	m := l.joined.Load()
	if m == nil {
		return membership.View{}
	}
	return m.View()
}

// May is membership.Member.May.
func (l *Logs[T]) May() bool {
	m := l.joined.Load()
	return m != nil && m.May()
}

// Confirm returns when the instance may act as the owner of its logs, or when ctx or the timeout has ended.
func (l *Logs[T]) Confirm(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_ = until(ctx, l.May)
}

// Check returns why the instance is not ready, or nil. One of several needs to own no log.
func (l *Logs[T]) Check() error {
	m := l.joined.Load()
	if m == nil {
		if err := l.unknown.Load(); err != nil {
			return protocol.Errorf(protocol.CodeUnavailable, "the number of logs cannot be read: %v", *err)
		}
		return nil
	}
	if err := m.Err(); err != nil {
		return err
	}
	if v := m.View(); !v.Takers && len(v.Owned) < int(l.total.Load()) && !l.finishes.Load() {
		return protocol.Errorf(protocol.CodeUnavailable, "this is the only %s, and takes over the logs of others first", l.config.Role)
	}
	return nil
}

// Run makes the instance a member, and works on the logs that it owns, until ctx ends. It calls fail if that is not
// possible.
func (l *Logs[T]) Run(ctx context.Context, fail func(error)) {
	number, err := l.registry.AwaitLogs(ctx, l.numberUnknown)
	if err != nil {
		if ctx.Err() == nil {
			fail(err)
		}
		return
	}
	l.total.Store(int64(number))
	config := l.config
	config.Logs = number
	config.Changed = func(membership.View) { l.Look() }
	m := membership.Join(config)
	l.joined.Store(m)
	l.unknown.Store(nil)
	for {
		select {
		case <-l.changed:
			l.assign(ctx, m, number)
		case <-ctx.Done():
			l.leave(m)
			return
		}
	}
}

// numberUnknown takes in why the number of logs is not known. It is nothing to worry about that nobody has decided it yet.
func (l *Logs[T]) numberUnknown(err error) {
	if errors.Is(err, topics.ErrUndecided) {
		l.unknown.Store(nil)
		return
	}
	if l.unknown.Swap(&err) == nil {
		l.config.Logger.Warn("the number of logs cannot be read, so none is served; trying again", zap.Error(err))
	}
}

// assign begins and ends tenures, so that they are those of the logs that the instance owns. Whoever owns a
// log owns those of the same partitions of topics with other numbers of replicas, too: all whose numbers
// have the same remainder.
func (l *Logs[T]) assign(ctx context.Context, m *membership.Member, number int) {
	v := m.View()
	places := make([][]*Place[T], number)
	for _, p := range l.all() {
		n := int(p.number) % number
		places[n] = append(places[n], p)
	}
	epochs := make(map[int]uint64)
	for _, o := range v.Owned {
		epochs[o.Log] = o.Epoch
	}
	// An error of Ask means that the service stops.
	for n := range places {
		epoch, owned := epochs[n]
		switch {
		case owned && l.finishes.Load():
			prepare(places[n])
		case owned && v.Record.Logs[n].Next != "":
			switch prepare(places[n]) {
			case Ready:
				_ = m.Ask(ctx, member.GiveAway{Log: n, To: v.Record.Logs[n].Next})
			case Late:
				if !l.stops.Load() {
					_ = m.Ask(ctx, member.Keep{Log: n})
				}
			case Preparing:
			}
		case owned:
			for _, p := range places[n] {
				l.own(ctx, m, p, n, epoch)
			}
		case n >= len(v.Record.Logs) || !v.Record.Logs[n].OwnedBy(l.config.Instance):
			for _, p := range places[n] {
				p.disown()
			}
		}
		// What is to be given away stays until the record says so, because nobody else serves it before that.
	}
}

// prepare reports whether some places are ready to be given away together.
func prepare[T Tenure](all []*Place[T]) (is Readiness) {
	for _, p := range all {
		is = max(is, p.prepare())
	}
	return is
}

func (l *Logs[T]) own(ctx context.Context, m *membership.Member, p *Place[T], n int, epoch uint64) {
	switch above, err := p.own(n, epoch); {
	case err != nil:
		l.config.Logger.Error("a log cannot be served; another instance may do so", zap.Uint16("log", p.number), zap.Error(err))
		_ = m.Ask(ctx, member.GiveUp{Log: n, Epoch: epoch})
		time.AfterFunc(ableAfter, func() { _ = m.Ask(ctx, member.Able{Log: n}) })
	case above != 0:
		_ = m.Ask(ctx, member.Raise{Log: n, Above: above})
	}
}

const (
	// ableAfter is how long after an instance has given a log up it may get the log again.
	ableAfter = 30 * time.Second
	// handOverTime bounds how long an instance that stops waits for others to take its logs, besides what its
	// tenures take.
	handOverTime = 2 * time.Second
	// giveUpTime bounds how long an instance that stops tries to give up what nobody has taken.
	giveUpTime = time.Second
	// beat is how often somebody who waits looks.
	beat = 20 * time.Millisecond
)

// Stop hands all logs over to other instances. If there is none, it says that it gives them up, so
// that the next one need not wait until this one counts as gone. All tenures have ended when it returns. It is a step of
// the service's stop, before that which ends the context of Run.
func (l *Logs[T]) Stop(ctx context.Context) error {
	m := l.joined.Load()
	if m == nil {
		return nil
	}
	l.stops.Store(true)
	bounded, cancel := context.WithTimeout(ctx, handOverTime+l.longest)
	defer cancel()
	err := m.Ask(bounded, member.Drain{})
	if err == nil {
		// What is not handed over in time is given up.
		_ = until(bounded, func() bool { v := m.View(); return len(v.Owned) == 0 || !v.Takers })
		_ = until(bounded, func() bool { return !slices.ContainsFunc(l.all(), (*Place[T]).lingers) })
	}
	l.finishes.Store(true)
	finish, cancel := context.WithTimeout(ctx, l.longest)
	defer cancel()
	_ = until(finish, func() bool { return prepare(l.all()) == Ready })
	for _, p := range l.all() {
		p.close()
	}
	last, cancel := context.WithTimeout(ctx, giveUpTime)
	defer cancel()
	if err = errors.Join(err, until(last, func() bool { return l.giveUp(last, m) })); err != nil {
		l.config.Logger.Warn("other instances were not told that this one stops; they take its logs when its key has expired", zap.Error(err))
	}
	return nil
}

// giveUp asks to give up what the instance owns, and reports whether it owns nothing any more. Another instance may give
// it a log at any time, so it is called again and again.
func (l *Logs[T]) giveUp(ctx context.Context, m *membership.Member) bool {
	v := m.View()
	for _, o := range v.Owned {
		_ = m.Ask(ctx, member.GiveUp(o)) // an error means that ctx has ended, as the caller sees
	}
	return !slices.ContainsFunc(v.Record.Logs, func(log assignment.Log) bool { return log.OwnedBy(l.config.Instance) })
}

// until returns when something is so, or ctx ends.
func until(ctx context.Context, is func() bool) error {
	pace := time.NewTicker(beat)
	defer pace.Stop()
	for !is() {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave ends all tenures and the membership.
func (l *Logs[T]) leave(m *membership.Member) {
	for _, p := range l.all() {
		p.close()
	}
	if err := m.Leave(context.Background()); err != nil {
		l.config.Logger.Debug("the instance is listed until its key expires", zap.Error(err))
	}
}
