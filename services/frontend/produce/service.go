// Package produce receives the batches that producers send, and answers them. It is the shell
// around package core: it receives requests, rejects those with invalid headers or bodies,
// bounds what is in flight, runs an actor for each log, and sends what the core decides.
//
// It owns the subscriptions to produce requests, the admission and the frontend epoch. It
// decides nothing about a batch that has been admitted.
package produce

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/service"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/rolewatch"
	"laneway.dev/services/frontend/fetch"
)

// Config is what a Service needs.
type Config struct {
	Conn      *nats.Conn            // for answers to producers
	Wire      *transport.Connection // for messages to other services
	Requests  *transport.Connection // where produce requests arrive
	Logger    *zap.Logger
	Telemetry *telemetry.Telemetry
	Times     core.Times
	Limits    Limits
	Inline    func() int64  // largest frame that may travel in the log now, in bytes; 0 is none
	Fetches   *fetch.Server // receives what is committed, and payloads that consumers may ask for
	Epoch     *Epoch
	Ending    *service.Ending          // of the frontend; once it has failed no producer is answered
	Roles     func() *rolewatch.Status // what is known of the other roles
	Stagers   func() *core.Stagers     // those that are alive; another pointer whenever they change
	Failed    func(protocol.Code)      // is called for each request that is answered with an error
}

// Service is what the partitions of a frontend share. It is safe for concurrent use.
type Service struct {
	config    Config
	logs      *supervisor.Logs[*log]
	admission *admission
	arrivals  *arrivals
	backlog   *backlogGuard
	closing   atomic.Bool
	refused   atomic.Uint64   // requests that were answered before they got a ticket
	unsent    atomic.Uint64   // answers that could not be sent
	losing    transport.Burst // of those
}

// New returns a service without partitions; see Partition.
func New(config Config) *Service {
	arrivals := newArrivals(config.Requests)
	s := &Service{
		config: config, admission: newAdmission(config.Limits.orDefaults()), arrivals: arrivals, backlog: newBacklogGuard(arrivals),
	}
	go arrivals.run()
	s.logs = supervisor.NewLogs(s.startLog)
	return s
}

// StopAdmission ends the admission of requests on all partitions. Requests that were delivered
// before are still admitted.
func (s *Service) StopAdmission(partitions []*Partition) {
	s.closing.Store(true)
	var wait sync.WaitGroup
	for _, p := range partitions {
		wait.Go(p.close)
	}
	wait.Wait()
}

// Drained returns a channel that is closed once every admitted batch is answered.
func (s *Service) Drained() <-chan struct{} { return s.admission.drained() }

// Close releases what the partitions shared. All of them MUST have ended.
func (s *Service) Close() {
	s.logs.Stop()
	s.backlog.close()
	s.arrivals.close()
}

// Counts are figures of a service since its start.
type Counts struct {
	Refused     uint64 // requests that were answered before they got a ticket
	AnswersLost uint64 // answers that could not be sent
	Dropped     uint64 // requests that found no room before they were looked at
	Pauses      uint64 // times that the subjects of a partition were left
	Batches     int    // that are in flight
	Bytes       int64  // of these batches
}

// Counts returns the present figures.
func (s *Service) Counts() Counts {
	batches, bytes := s.admission.held()
	return Counts{
		Refused: s.refused.Load(), AnswersLost: s.unsent.Load(), Dropped: s.arrivals.lost(), Pauses: s.backlog.pauses.Load(),
		Batches: batches, Bytes: bytes,
	}
}

// replaced reports whether the frontend has ended by itself. It then MUST NOT answer: its
// successor may have answered later requests of the same producers.
func (s *Service) replaced() bool { return s.config.Ending.Err() != nil }
