// Package embedded runs a NATS server with JetStream inside this process.
//
// It owns the data folder: it holds the folder's lock from NewClaim to Shutdown, so that two servers
// never write to the same files. Every acknowledged JetStream write is on disk (SyncAlways). The
// package never handles signals, never ends the process, and does not depend on Laneway's subjects.
//
// A start fails if a block of a stream has a damaged sequence that the server would never finish
// reading (checkBlocks). Other damage is left to the server and to those that read the stream.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// readyTimeout bounds the wait for the listener, which is open when the library's Start returns.
const readyTimeout = 10 * time.Second

// Server is a running NATS server. Its methods are safe for concurrent use.
type Server struct {
	nats     *server.Server
	lock     *folderLock
	folder   string
	problem  atomic.Pointer[string] // why JetStream has stopped writing; nil if it has not
	stopOnce sync.Once
	stopErr  error

	watch     sync.WaitGroup // the goroutine that watches the storage
	stopWatch context.CancelFunc
}

// Start locks the data folder, recovers the streams in it and listens. It returns when clients can
// connect. The error wraps [ErrLocked] if the folder is locked, and [syscall.EADDRINUSE] if the port
// is in use. After an error the server does not run and the folder is not locked, unless the error
// wraps [ErrStartHangs].
func Start(options Options) (*Server, error) {
	claim, err := NewClaim(options)
	if err != nil {
		return nil, err
	}
	return claim.Start(context.Background())
}

// run returns the Server for a started NATS server.
func run(natsServer *server.Server, c *Claim) *Server {
	s := &Server{nats: natsServer, lock: c.lock, folder: c.folder}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopWatch = cancel
	s.watch.Go(func() { s.watchStorage(ctx, c.options.logger(), c.options.broken) })
	return s
}

// settle returns why a start has failed, or nil. The library does not return the error, it only
// logs it.
func settle(natsServer *server.Server, adapter *logAdapter) error {
	if err := adapter.firstFatal(); err != nil {
		return fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	if !natsServer.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("the embedded NATS server does not accept connections after %s: see its log", readyTimeout)
	}
	return nil
}

// probePort returns a typed error for a port that is in use. The library would only log it, after
// it has recovered the streams, which may take long. Port 0 is never in use.
func probePort(listen address) error {
	if listen.port == 0 {
		return nil
	}
	hostPort := net.JoinHostPort(listen.host, fmt.Sprint(listen.port))
	listener, err := net.Listen("tcp", hostPort)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another process listens on %s: stop it, or choose another --listen: %w", hostPort, err)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", hostPort, err)
	}
	return listener.Close()
}

// Connect opens a connection inside the process, without the network. The caller MUST close it.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(options[:len(options):len(options)], nats.InProcessServer(s.nats))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded NATS server: %w", err)
	}
	return nc, nil
}

// ClientURL returns the URL for other processes, with the actual port.
func (s *Server) ClientURL() string { return s.nats.ClientURL() }

// Check returns nil while the server runs and JetStream can write. When its storage fails, the
// library disables JetStream, or one of its streams, and keeps the server running.
func (s *Server) Check(context.Context) error {
	switch {
	case !s.nats.Running():
		return errors.New("the embedded NATS server is not running")
	case !s.nats.JetStreamEnabled():
		return errors.New("the embedded NATS server has JetStream disabled: see its log")
	}
	if problem := s.problem.Load(); problem != nil {
		return fmt.Errorf("%w: make room on the disk; %d bytes are free: %s", ErrStorage, s.freeSpace(), *problem)
	}
	return nil
}

// Shutdown closes the connections, flushes the streams, waits until the server has ended, and then
// releases the data folder. Further calls wait for the first one and return its result.
func (s *Server) Shutdown() error {
	s.stopOnce.Do(func() {
		s.stopWatch()
		s.watch.Wait()
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		if err := s.lock.release(); err != nil {
			s.stopErr = fmt.Errorf("releasing the lock of the data folder: %w", err)
		}
	})
	return s.stopErr
}
