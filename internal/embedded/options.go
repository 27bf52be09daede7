package embedded

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

const (
	// DefaultMaxPayload is the default of Options.MaxPayload.
	DefaultMaxPayload = 8 << 20

	// maxPending bounds the bytes that wait in the server for one connection; beyond it the
	// server disconnects the client. It exceeds what can wait there for a frontend, because a
	// frontend answers the requests over its limits with an error instead of leaving them there.
	maxPending = 512 << 20

	// serverName stays the same over restarts: JetStream derives its node id from it.
	serverName = "laneway"

	// maxStore leaves the limit of JetStream's files to the disk. The server's default is 75 % of
	// the space that is free at its start. A server that is started on a full disk would keep
	// rejecting writes after space has been freed.
	maxStore = 1 << 60
)

// Options say where the server listens and where it keeps its data.
type Options struct {
	// Listen is host:port. Port 0 or -1 takes a free one; an empty host listens on all interfaces.
	Listen string
	// Data is the data folder; it is created if need be. JetStream keeps its files in Data/nats.
	Data string
	// MaxPayload is the largest message in bytes, headers included; 0 means DefaultMaxPayload.
	MaxPayload int32
	// StartTimeout is how long a start may take without a line in the server's log, besides the time
	// for the bytes that it may have to read; 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// Logger receives the server's log; nil discards it.
	Logger *zap.Logger
	// OnBroken is called once, with an error that wraps [ErrStorage], when the server must be
	// restarted: JetStream has stopped writing, and its disk has room again. It must not block. It
	// may be nil.
	OnBroken func(error)
}

func (o *Options) logger() *zap.Logger {
	if o.Logger == nil {
		return zap.NewNop()
	}
	return o.Logger
}

func (o *Options) startTimeout() time.Duration {
	if o.StartTimeout <= 0 {
		return DefaultStartTimeout
	}
	return o.StartTimeout
}

func (o *Options) broken(err error) {
	if o.OnBroken != nil {
		o.OnBroken(err)
	}
}

// address is Listen, parsed. Port 0 means any free port.
type address struct {
	host string
	port int
}

func (o *Options) address() (address, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return address{}, fmt.Errorf("listen address %q is not host:port: %w", o.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < -1 || port > 65535 {
		return address{}, fmt.Errorf("listen address %q: %q is not a port", o.Listen, portText)
	}
	return address{host: host, port: max(port, 0)}, nil
}

// folder returns the absolute path of Data. It rejects an empty name, with which the server would
// store its data in the temporary folder.
func (o *Options) folder() (string, error) {
	if o.Data == "" {
		return "", errors.New("no data folder is given")
	}
	folder, err := filepath.Abs(o.Data)
	if err != nil {
		return "", fmt.Errorf("data folder %q: %w", o.Data, err)
	}
	return folder, nil
}

// serverOptions returns the options of the NATS server. Others have the library's defaults.
func serverOptions(listen address, folder string, maxPayload int32) *server.Options {
	if maxPayload == 0 {
		maxPayload = DefaultMaxPayload
	}
	port := listen.port
	if port == 0 {
		// The library reads 0 as its default port.
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:             serverName,
		Host:                   listen.host,
		Port:                   port,
		MaxPayload:             maxPayload,
		MaxPending:             maxPending,
		JetStream:              true,
		StoreDir:               filepath.Join(folder, "nats"),
		JetStreamMaxStore:      maxStore,
		SyncAlways:             true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
}
