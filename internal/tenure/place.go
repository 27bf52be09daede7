package tenure

import (
	"sync"

	"go.uber.org/zap"
)

// Tenure is the work of an instance on one log, from when it gets the log until the log is another's. Its methods are
// called one at a time.
type Tenure interface {
	// Raise continues the tenure in a higher epoch.
	Raise(epoch uint64)
	// Prepare makes the tenure finish what it has begun, because another instance is to get the log, or the
	// service stops. It is called again and again, and after each Look.
	Prepare() Readiness
	// Keep undoes Prepare, if that was called, because the instance owns the log after all. It reports
	// whether the tenure can go on.
	Keep() (can bool)
	// Lingers reports whether the tenure has something left to do for the next owner, although the record names
	// that one.
	Lingers() bool
	// End ends the tenure, and returns when nothing of it is left. lost says that the log may be another
	// instance's already.
	End(lost bool)
}

// Readiness says whether a log may be given away.
type Readiness int

// In the order of what counts more, if a log has several places.
const (
	Ready     Readiness = iota
	Preparing           // not yet
	Late                // it takes so long that the log is better kept for now
)

// Place is the place of one log in an instance, with a tenure as long as the instance owns the log. It is safe for
// concurrent use.
type Place[T Tenure] struct {
	number uint16
	log    *zap.Logger
	begin  func(n int, epoch uint64) (T, error)

	mu     sync.Mutex
	tenure T // valid if owned
	owned  bool
	epoch  uint64 // the highest one in which the instance has owned the log
}

// Do calls do with the tenure, if the instance owns the log. Tenures begin and end before it or after it, and so
// what do reads and changes can be shared with them. It MUST NOT wait for a tenure to begin or end.
func (p *Place[T]) Do(do func(tenure T, owned bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do(p.tenure, p.owned)
}

// Epoch returns the epoch in which the instance owns the log; 0 if it does not.
func (p *Place[T]) Epoch() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owned {
		return 0
	}
	return p.epoch
}

// own makes the instance serve the log, which the record of the role has as the n-th, in an epoch. An epoch is for one
// tenure: if the instance has owned the log in that epoch or a higher one before, it needs one above that,
// which own returns; else 0.
func (p *Place[T]) own(n int, epoch uint64) (above uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned && !p.tenure.Keep() {
		p.end(false)
	}
	switch {
	case epoch == p.epoch && p.owned:
		return 0, nil
	case epoch <= p.epoch:
		return p.epoch, nil
	case p.owned:
		p.epoch = epoch
		p.tenure.Raise(epoch)
		return 0, nil
	}
	p.epoch = epoch
	tenure, err := p.begin(n, epoch)
	if err != nil {
		return 0, err
	}
	p.tenure, p.owned = tenure, true
	p.log.Info("this instance owns a log", zap.Uint16("log", p.number), zap.Uint64("epoch", epoch))
	return 0, nil
}

// prepare prepares the tenure for its end, and reports whether the log may be given away. It MUST be called before
// that. Until then the tenure continues, so that as little as possible waits.
func (p *Place[T]) prepare() Readiness {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owned {
		return Ready
	}
	return p.tenure.Prepare()
}

// lingers reports whether the tenure has something left to do for the next owner.
func (p *Place[T]) lingers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owned && p.tenure.Lingers()
}

// disown ends the tenure, unless there is none, or it lingers.
func (p *Place[T]) disown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned && !p.tenure.Lingers() {
		p.end(true)
	}
}

// close ends the tenure if there is one.
func (p *Place[T]) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned {
		p.end(false)
	}
}

// end ends the tenure. The caller holds mu.
func (p *Place[T]) end(lost bool) {
	p.tenure.End(lost)
	var none T
	p.tenure, p.owned = none, false
	p.log.Info("this instance owns a log no longer", zap.Uint16("log", p.number))
}
