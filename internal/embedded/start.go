package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// DefaultStartTimeout is the default of Options.StartTimeout.
	DefaultStartTimeout = 30 * time.Second
	// slowestRestore is a lower bound for the bytes per second that a server reads from a slow
	// disk while it restores streams and checks their records.
	slowestRestore = 16 << 20
	// startGrace is how long an interrupted start may take to end by itself.
	startGrace = 5 * time.Second
)

// ErrStartHangs is wrapped by the error of a start that makes no progress.
var ErrStartHangs = errors.New("the embedded NATS server does not start")

// Claim is a locked data folder, before its server is started.
type Claim struct {
	options Options
	listen  address
	folder  string
	lock    *folderLock
}

// NewClaim creates the data folder if it does not exist, locks it, and checks that the port is free.
// The error wraps [ErrLocked] if the folder is locked, and [syscall.EADDRINUSE] if the port is in
// use.
func NewClaim(options Options) (*Claim, error) {
	listen, err := options.address()
	if err != nil {
		return nil, err
	}
	folder, err := options.folder()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("creating the data folder: %w", err)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	if err := probePort(listen); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Claim{options, listen, folder, lock}, nil
}

// Release releases the folder without a start.
func (c *Claim) Release() error { return c.lock.release() }

// Start recovers the streams in the folder and listens. It returns when clients can connect, when
// ctx ends, or when the start hangs. After an error it releases the folder, unless the server could
// not be stopped: then the folder stays locked until the process ends, because that server may still
// write to it.
func (c *Claim) Start(ctx context.Context) (*Server, error) {
	options := serverOptions(c.listen, c.folder, c.options.MaxPayload)
	if err := checkBlocks(ctx, options.StoreDir); err != nil {
		return nil, errors.Join(err, c.lock.release())
	}
	natsServer, err := server.NewServer(options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("setting up the embedded NATS server: %w", err), c.lock.release())
	}
	adapter := newLogAdapter(c.options.logger())
	natsServer.SetLoggerV2(adapter, false, false, false)
	started := make(chan struct{})
	go func() {
		natsServer.Start()
		close(started)
	}()
	limit := c.options.startTimeout() + time.Duration(blockBytes(options.StoreDir)/slowestRestore)*time.Second
	if err := await(ctx, started, adapter, limit); err != nil {
		return nil, c.abandon(natsServer, started, err)
	}
	if err := settle(natsServer, adapter); err != nil {
		return nil, c.abandon(natsServer, started, err)
	}
	return run(natsServer, c), nil
}

// await waits for the end of a start, as long as the server makes progress.
func await(ctx context.Context, started <-chan struct{}, adapter *logAdapter, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-started:
			return context.Cause(ctx) // whoever has cancelled it at the same time does not want the server
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-adapter.said:
			timer.Reset(limit)
		case <-timer.C:
			return hangs(adapter.restoring(), limit)
		}
	}
}

// hangs returns the error for a start without progress.
func hangs(streams []string, limit time.Duration) error {
	what := "it says nothing"
	if len(streams) > 0 {
		what = "it restores " + strings.Join(streams, ", ") + " and says nothing"
	}
	return fmt.Errorf("%w: for %s %s", ErrStartHangs, limit, what)
}

// abandon ends a server whose start has failed, and releases the folder. A server that hangs cannot
// be ended.
func (c *Claim) abandon(natsServer *server.Server, started <-chan struct{}, err error) error {
	timer := time.NewTimer(startGrace)
	defer timer.Stop()
	if errors.Is(err, ErrStartHangs) {
		timer.Reset(0)
	}
	select {
	case <-started:
		natsServer.Shutdown()
		natsServer.WaitForShutdown()
		return errors.Join(err, c.lock.release())
	case <-timer.C:
		return err
	}
}
