package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/health"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/service"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver"
	"laneway.dev/services/frontend"
	"laneway.dev/services/replicator"
	"laneway.dev/services/sequencer"
	"laneway.dev/services/stager"
)

// Names of the services.
const (
	Frontend   = "frontend"
	Stager     = "stager"
	Sequencer  = "sequencer"
	Replicator = "replicator"
	Archiver   = "archiver"
)

// Roles returns the names of all services in the order in which they start. A
// service starts before those that send batches or jobs to it. The archiver is the first one, and
// compares the object store with that of the cluster, so a process with another store ends before
// a replicator has touched a log.
func Roles() []string { return []string{Archiver, Replicator, Sequencer, Stager, Frontend} }

// Service is what all services have in common. It is safe for concurrent use.
type Service interface {
	// Check returns why the service is not ready, or nil.
	Check(ctx context.Context) error
	// Done is closed when the service has ended by itself.
	Done() <-chan struct{}
	// Err returns why the service has ended by itself, or nil.
	Err() error
	// Stop drains the service within the deadline of ctx.
	Stop(ctx context.Context) error
}

// Config is the configuration of services. Start reads only the parts of the
// services that it starts, and fills in their Conn, Logger, Telemetry and Store.
type Config struct {
	// Store is the object store of frontends, stagers and archivers. They do not start
	// on one that is not that of the cluster.
	Store storeid.Candidate
	// Connect opens a connection for a service, with the options of
	// internal/transport. The connection is closed when the service has stopped.
	Connect func(role string) (*nats.Conn, error)
	// Place is what the names of instances begin with, if no two of them can run at the same time with that, as
	// those of one locked folder cannot; else empty. An instance then takes the place of the last one at once.
	Place string
	// Replicas is the number of replicas of a new cluster; 0 stands for what the NATS servers allow. No service
	// starts if the cluster has another one.
	Replicas  int
	Logger    *zap.Logger
	Telemetry *telemetry.Telemetry

	Frontend   frontend.Config
	Stager     stager.Config
	Sequencer  sequencer.Config
	Replicator replicator.Config
	Archiver   archiver.Config
}

// Services are services that run. Its methods are safe for concurrent use.
type Services struct {
	instance string // the name of this start of the process
	log      *zap.Logger
	services []running // in the order of their start
	ended    chan struct{}
	watchers sync.WaitGroup
	stopping chan struct{}
	stopOnce sync.Once
	stopErr  error
}

type running struct {
	role    string
	service Service
	member  *membership.Member // nil if the service keeps its place itself
	conns   []*nats.Conn
}

// Start starts services, in the order given. The context bounds only the start,
// which waits for NATS and JetStream. After an error no service runs.
func Start(ctx context.Context, config Config, names ...string) (*Services, error) {
	r := &Services{instance: config.Place + instance(), log: config.Logger, ended: make(chan struct{}), stopping: make(chan struct{})}
	for _, role := range names {
		if err := r.start(ctx, config, role); err != nil {
			stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
			cancel() // nothing is in flight that a drain would have to wait for
			_ = r.Stop(stop)
			return nil, err
		}
	}
	r.watch()
	return r, nil
}

func (r *Services) start(ctx context.Context, config Config, role string) error {
	conns, err := config.connect(role)
	if err != nil {
		return fmt.Errorf("start %s: %w", role, err)
	}
	var service Service
	if most := conns[0].MaxPayload(); most < protocol.MinMaxPayload {
		err = fmt.Errorf("start %s: %w", role, protocol.Errorf(protocol.CodeMaxPayload,
			"NATS has a max_payload of %d, the services need at least %d", most, protocol.MinMaxPayload))
	} else {
		service, err = config.start(ctx, role, r.instance, conns)
	}
	if err != nil {
		hangUp(conns)
		return err
	}
	js, err := jetstream.New(conns[0])
	if err != nil {
		hangUp(conns)
		return err
	}
	started := running{role: role, service: service, conns: conns}
	if role != Sequencer && role != Replicator { // which join with their logs
		own := membershipOf(r.instance, &config)
		own.Conn, own.JS, own.Logger, own.Role = conns[0], js, config.Logger.Named(role), role
		started.member = membership.Join(own)
	}
	r.services = append(r.services, started)
	return nil
}

// membershipOf returns what says who an instance is.
func membershipOf(instance string, config *Config) membership.Config {
	return membership.Config{Instance: instance, Process: config.Place, TTL: memberTTL, Version: cli.Version()}
}

// memberTTL is how long a process that has died still counts as there, at least.
const memberTTL = 2 * time.Second

// instance returns a name for this start of the process: that of the machine, and characters drawn by chance.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown" // the other characters make it unique
	}
	host, _, _ = strings.Cut(host, ".")
	host = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, host)
	const drawn = 8
	return host + "-" + nuid.Next()[:drawn] // the last ones count up
}

// connect opens the connections of a service. A frontend has one for requests
// alone: a flood of requests must not delay the answers and the internal messages,
// which the other connection carries.
func (c *Config) connect(role string) ([]*nats.Conn, error) {
	names := []string{role}
	if role == Frontend {
		names = append(names, role+"-requests")
	}
	var conns []*nats.Conn
	for _, name := range names {
		conn, err := c.Connect(name)
		if err != nil {
			hangUp(conns)
			return nil, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// slowJoin is the time from the start after which a warning is logged.
const slowJoin = 5 * time.Second

// warnOfSilence returns a function that is called with errors of JetStream, and warns once if
// there is still one after slowJoin. what is what JetStream is asked for.
func warnOfSilence(log *zap.Logger, what string) func(error) {
	began, warned := time.Now(), false
	return func(err error) {
		if !warned && time.Since(began) >= slowJoin {
			warned = true
			log.Warn("JetStream does not tell yet "+what+"; waiting for as long as it takes", zap.Error(err))
		}
	}
}

// join waits for JetStream and the store, and returns where the cluster has its objects. It fails if
// the object store is not that of the cluster.
func (c *Config) join(ctx context.Context, role string, conn *nats.Conn) (objectstore.Store, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	objects, err := storeid.Join(ctx, js, c.Store, warnOfSilence(c.Logger.Named(role), "which object store this Laneway has"))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	return objects, nil
}

// decideReplicas waits for JetStream, and returns an error if the cluster has another number of replicas than is
// configured, or has too few servers for it.
func (c *Config) decideReplicas(ctx context.Context, role string, conn *nats.Conn) error {
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = kvbucket.DecideReplicas(ctx, js, c.Replicas, warnOfSilence(c.Logger.Named(role), "how many replicas this Laneway keeps"))
	}
	if errors.Is(err, kvbucket.ErrTooFewServers) {
		err = cli.Advise(err, "start as many NATS servers with JetStream, in one cluster; or give a smaller number, 1 or 3, by --replicas")
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", role, err)
	}
	return nil
}

// refuseOlder returns an error if NATS has logs that this version does not read.
func refuseOlder(ctx context.Context, role string, conn *nats.Conn) error {
	js, err := jetstream.New(conn)
	if err == nil {
		err = partitionlog.RefuseOlder(ctx, js)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", role, err)
	}
	return nil
}

func (c *Config) start(ctx context.Context, role, instance string, conns []*nats.Conn) (Service, error) {
	own := service.Config{Conn: conns[0], Logger: c.Logger.Named(role), Telemetry: c.Telemetry}
	if role != Stager && role != Sequencer {
		if err := refuseOlder(ctx, role, own.Conn); err != nil {
			return nil, err
		}
	}
	if err := c.decideReplicas(ctx, role, own.Conn); err != nil {
		return nil, err
	}
	var objects objectstore.Store
	if role == Frontend || role == Stager || role == Archiver {
		var err error
		if objects, err = c.join(ctx, role, own.Conn); err != nil {
			return nil, err
		}
	}
	switch role {
	case Frontend:
		config := c.Frontend
		config.Config, config.Requests, config.Store = own, conns[1], objects
		return frontend.Start(ctx, config)
	case Stager:
		config := c.Stager
		config.Config, config.Store = own, objects
		return stager.Start(ctx, config)
	case Sequencer:
		config := c.Sequencer
		config.Config, config.Membership = own, membershipOf(instance, c)
		return sequencer.Start(ctx, config)
	case Replicator:
		config := c.Replicator
		config.Config, config.Membership = own, membershipOf(instance, c)
		return replicator.Start(ctx, config)
	case Archiver:
		config := c.Archiver
		config.Config, config.Store = own, objects
		return archiver.Start(ctx, config)
	default:
		return nil, fmt.Errorf("there is no service %q", role)
	}
}

// watch makes Ended close when the first service ends by itself.
func (r *Services) watch() {
	var once sync.Once
	for _, s := range r.services {
		r.watchers.Go(func() {
			select {
			case <-s.service.Done():
				once.Do(func() { close(r.ended) })
			case <-r.stopping:
			}
		})
	}
}

// Ended is closed when a service has ended by itself. Err then returns which and
// why.
func (r *Services) Ended() <-chan struct{} { return r.ended }

// Err returns the errors that have ended services; nil while none has ended by
// itself.
func (r *Services) Err() error {
	var errs []error
	for _, s := range r.services {
		if err := s.service.Err(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Service returns the service of a role, or nil if it was not started.
func (r *Services) Service(role string) Service {
	for _, s := range r.services {
		if s.role == role {
			return s.service
		}
	}
	return nil
}

// Register makes the readiness that the pages report depend on every service.
func (r *Services) Register(pages *health.Health) {
	for _, s := range r.services {
		pages.Register(s.role, s.service.Check)
	}
}

// Stop stops the services and closes their connections, within the deadline of
// ctx. The service that started last stops first: the frontend admits no more
// batches while the services behind it still drain. Further calls wait for the
// first one and return its error.
func (r *Services) Stop(ctx context.Context) error {
	r.stopOnce.Do(func() {
		close(r.stopping)
		r.watchers.Wait()
		for i := len(r.services) - 1; i >= 0; i-- {
			if err := r.services[i].stop(ctx, r.log); err != nil {
				r.stopErr = errors.Join(r.stopErr, fmt.Errorf("stop %s: %w", r.services[i].role, err))
			}
		}
	})
	return r.stopErr
}

func (s *running) stop(ctx context.Context, log *zap.Logger) error {
	defer hangUp(s.conns)
	if s.member != nil {
		_ = s.member.Ask(ctx, member.Drain{}) // it is shown, and may be late
	}
	err := s.service.Stop(ctx)
	if s.member != nil {
		// Without that, the instance is listed until its key expires.
		if err := s.member.Leave(ctx); err != nil {
			log.Debug("the instance is listed until its key expires", zap.String("role", s.role), zap.Error(err))
		}
	}
	return err
}

// hangUp closes connections. Their handlers, which log a lost connection, are
// removed first, because this loss is intended.
func hangUp(conns []*nats.Conn) {
	for _, conn := range conns {
		conn.SetDisconnectErrHandler(nil)
		conn.Close()
	}
}
