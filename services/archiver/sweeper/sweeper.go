// Package sweeper deletes from the object store what is not needed any more. It runs sweeps, one
// at a time among all archivers, and carries out what services/archiver/core/sweep decides.
//
// It owns the bucket LANEWAY_SWEEPS, which has the lease of the archiver that sweeps, the alarm that
// stands, the logs that are older than the store and how the last sweep has ended, and the records of sweeps
// in the store. It deletes nothing that the core has not named.
package sweeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"laneway.dev/internal/objectstore"
	"laneway.dev/services/archiver/core/sweep"
)

// Config is what a sweeper needs. Zero values take their defaults.
type Config struct {
	Conn   *nats.Conn
	JS     jetstream.JetStream
	Store  objectstore.Store // the part with the objects of the cluster
	Logger *zap.Logger
	// Interval is the time between the starts of two sweeps, each of which raises the generation;
	// default 5 min.
	Interval time.Duration
	// DeletesPerSecond bounds how many objects are deleted in a second; default 200.
	DeletesPerSecond int
}

const (
	defaultInterval = 5 * time.Minute
	defaultDeletes  = 200
	// patience is how long a sweep waits at most for the logs to follow the generation.
	patience = 10 * time.Second
	// fullEvery is the time after which all generations of segments and manifests are listed again.
	fullEvery = 24 * time.Hour
	// confirmAfter is the pause before logs of a cluster that seem to be older than the store are read again.
	confirmAfter = 15 * time.Second
)

// Sweeper runs sweeps. Its methods are safe for concurrent use.
type Sweeper struct {
	config Config
	lease  *lease
	limit  *rate.Limiter

	core      *sweep.Core // belongs to Run
	watermark uint64      // the highest one that was read; belongs to Run
	reason    string      // of the last sweep; belongs to Run
	revision  uint64      // of the newest record in NATS, as of the begin of the sweep; belongs to Run

	mu    sync.Mutex
	stats Stats
}

// New returns a sweeper. Nothing happens before Run.
func New(config Config) *Sweeper {
	config.Interval = cmp.Or(config.Interval, defaultInterval)
	config.DeletesPerSecond = cmp.Or(config.DeletesPerSecond, defaultDeletes)
	settings := sweep.Settings{Patience: min(patience, config.Interval/4), FullEvery: fullEvery}
	if config.Conn.ConnectedClusterName() != "" { // a single server has no leader that lags
		settings.Confirm = confirmAfter
	}
	return &Sweeper{
		config: config, lease: newLease(config.JS, leaseTime(config.Interval)),
		limit: rate.NewLimiter(rate.Limit(config.DeletesPerSecond), config.DeletesPerSecond),
		core:  sweep.NewCore(settings),
	}
}

// Run sweeps at intervals while it has the lease, until ctx ends. A sweeper that takes the lease
// over waits for an interval first, because the one before it may just have raised the generation. But it
// compares the logs with the records of sweeps at once, because NATS may have been restored from a copy.
func (s *Sweeper) Run(ctx context.Context) {
	holding, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { s.lease.keep(holding, s.config.Logger) })
	defer keeper.Wait()
	defer stop()
	timer := time.NewTicker(min(s.config.Interval/4, time.Second))
	defer timer.Stop()
	next := newSchedule(s.config.Interval, time.Now())
	var comparison comparisons
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if comparison.due(time.Now(), s.lease.held(), s.lease.timesGained()) {
			comparison.done(time.Now(), s.lease.time, s.compare(ctx))
		}
		if next.due(time.Now(), s.lease.held(), s.lease.timesTaken()) {
			s.sweep(ctx)
		}
	}
}

// errLease ends a sweep of a sweeper whose lease has expired.
var errLease = errors.New("another archiver sweeps, or NATS could not be reached for too long")

// sweep runs a sweep.
func (s *Sweeper) sweep(ctx context.Context) {
	began := time.Now()
	if outcome, ended := s.run(ctx, sweep.Start{}); ended {
		s.ended(ctx, outcome, time.Since(began))
	}
}

// compare compares the logs with the records of sweeps, and reports whether that could be done. An alarm
// counts as the end of a sweep.
func (s *Sweeper) compare(ctx context.Context) bool {
	began := time.Now()
	outcome, ended := s.run(ctx, sweep.Start{Compare: true})
	switch {
	case !ended:
	case outcome.Alarm != sweep.NoAlarm:
		s.ended(ctx, outcome, time.Since(began))
	case outcome.Reason != "":
		s.config.Logger.Debug("the logs could not be compared with the records of sweeps", zap.String("reason", outcome.Reason))
		return false
	}
	return true
}

// run has the core carry out a sweep or a comparison; false if ctx has ended first.
func (s *Sweeper) run(ctx context.Context, start sweep.Start) (sweep.Outcome, bool) {
	listed := &listing{}
	defer func() { listed.close() }()
	next := s.core.Step(time.Now(), start)
	for {
		if end, ended := next.(sweep.End); ended {
			return end.Outcome, true
		}
		result, err := s.do(ctx, next, &listed)
		if err == nil && !s.lease.held() {
			err = errLease
		}
		if ctx.Err() != nil {
			return sweep.Outcome{}, false
		}
		if err != nil {
			result = sweep.Failed{Reason: err.Error()}
		}
		next = s.core.Step(time.Now(), result)
	}
}

// do carries out an effect.
func (s *Sweeper) do(ctx context.Context, fx sweep.Effect, listed **listing) (sweep.Event, error) {
	switch fx := fx.(type) {
	case sweep.ReadRecords:
		return s.readRecords(ctx)
	case sweep.Raise:
		return s.raise(ctx)
	case sweep.ReadLogs:
		return s.readLogs(ctx, fx)
	case sweep.ListLogs:
		return s.listLogs(ctx)
	case sweep.ReadManifests:
		return s.readManifests(ctx, fx.Keys), nil
	case sweep.StoreRecord:
		return sweep.RecordStored{}, s.storeRecord(ctx, fx)
	case sweep.List:
		(*listed).close()
		*listed = s.list(ctx, fx.Ranges)
		return (*listed).page()
	case sweep.Next:
		return (*listed).page()
	case sweep.Delete:
		return s.delete(ctx, fx.Objects), nil
	}
	return nil, fmt.Errorf("%T is not an effect of a sweep", fx)
}
