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
	// DefaultMaxPayload is the largest message in bytes, headers included, unless Options says otherwise.
	DefaultMaxPayload = 8 << 20

	// maxPending is how much may wait for one connection. A frontend answers a
	// producer that is over its limits, but only for what reaches it: the server
	// must not cut it off at less than that.
	maxPending = 512 << 20

	// serverName stays the same over restarts: JetStream derives its node id from it.
	serverName = "laneway"

	// maxStore bounds the JetStream files by the disk alone. The server's own default, 75 % of what
	// is free at the start, would keep a server that was started on a full disk refusing after
	// space has returned.
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
	// OnBroken is told once, by an error that wraps [ErrStorage], that the server must be started
	// again: JetStream has stopped writing and its disk has room. It must not wait. Nil tells nobody.
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

// address is Listen, taken apart. Port 0 means any free one.
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

// folder refuses an empty name, which would make the server keep its data in the temporary folder.
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

// serverOptions are complete: what is not named here keeps the library's default.
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
