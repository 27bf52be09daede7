package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/health"
)

// When JetStream syncs its files to the disk.
const (
	syncAlways  = "always"  // before an acknowledgement
	syncDefault = "default" // every two minutes
)

// servers are the processes of a Laneway or of a JetStream. They belong to one goroutine.
type servers struct {
	binary    string
	folder    string // of their data; empty for a Laneway that the benchmark has not started
	url       string
	pages     []string   // addresses of the pages of Laneway's processes
	store     string     // of Laneway, if it is not in the folder
	archive   []string   // flags of what appends to Laneway's logs
	processes []*process // in the order of their start
}

// launch starts the servers of a system, with their data in a new folder.
func launch(ctx context.Context, p *Plan, c *contender) (s *servers, err error) {
	if c.system == Laneway && p.Server != "" {
		return &servers{url: p.Server}, nil
	}
	folder, err := os.MkdirTemp(p.Folder, "laneway-bench-")
	if err != nil {
		return nil, err
	}
	s = &servers{binary: p.Binary, folder: folder}
	if p.ArchiveBytes != nil {
		s.archive = []string{"--archive-bytes", strconv.FormatInt(*p.ArchiveBytes, 10)}
	}
	if c.store != "" {
		s.store = below(c.store, filepath.Base(folder))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	switch {
	case c.system == Laneway && p.Cluster == 1:
		err = s.describeServe()
	case c.system == Laneway:
		err = s.describeRoles(p.Cluster)
	default:
		err = s.describeNATS(p.Cluster, c.sync)
	}
	if err == nil {
		err = s.start(ctx)
	}
	return s, err
}

// start starts the processes and returns when all of them are ready. They may start in any
// order, because services wait for NATS.
func (s *servers) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it took longer than %s", startTimeout))
	defer cancel()
	for _, p := range s.processes {
		if err := p.start(s.binary); err != nil {
			return err
		}
	}
	for _, p := range s.processes {
		if err := s.await(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the processes, the last started first.
func (s *servers) stop() error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		errs = append(errs, s.processes[i].stop())
	}
	return errors.Join(errs...)
}

// remove ends the processes and removes their data.
func (s *servers) remove() error {
	err := s.stop()
	if s.store != "" {
		err = errors.Join(err, emptyStore(s.store))
	}
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}

func (s *servers) add(name string, ready func(context.Context) error, args ...string) {
	s.processes = append(s.processes, &process{
		name: name, args: args, log: filepath.Join(s.folder, name+".log"), ready: ready,
	})
}

// describeServe adds all of Laneway in one process.
func (s *servers) describeServe() error {
	free, err := addresses(2)
	if err != nil {
		return err
	}
	s.url = "nats://" + free[0]
	args := []string{"serve", "--listen", free[0], "--http", free[1], "--data", filepath.Join(s.folder, "data")}
	args = append(args, s.archive...)
	if s.store != "" {
		args = append(args, "--store", s.store)
	}
	s.pages = free[1:]
	s.add("serve", pageReady(free[1]), args...)
	return nil
}

// describeRoles adds a NATS cluster and a process for each of Laneway's roles.
func (s *servers) describeRoles(size int) error {
	if err := s.describeNATS(size, syncAlways); err != nil {
		return err
	}
	free, err := addresses(5)
	if err != nil {
		return err
	}
	store := cmp.Or(s.store, filepath.Join(s.folder, "objects"))
	s.pages = free
	for i, role := range []string{"archiver", "replicator", "sequencer", "stager", "frontend"} {
		args := []string{role, "--nats", s.url, "--http", free[i]}
		if role == "stager" || role == "frontend" || role == "archiver" {
			args = append(args, "--store", store)
		}
		if role == "replicator" {
			args = append(args, s.archive...)
		}
		s.add(role, pageReady(free[i]), args...)
	}
	return nil
}

// describeNATS adds a NATS server with JetStream, or a cluster of them.
func (s *servers) describeNATS(size int, sync string) error {
	free, err := addresses(2 * size)
	if err != nil {
		return err
	}
	clients, routes := free[:size], free[size:]
	s.url = "nats://" + strings.Join(clients, ",nats://")
	for i := range size {
		config := natsConfig(i, clients[i], filepath.Join(s.folder, fmt.Sprint("nats-", i)), sync)
		if size > 1 {
			config += clusterConfig(routes[i], routes)
		}
		name := fmt.Sprint("nats-", i)
		file := filepath.Join(s.folder, name+".conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return err
		}
		s.add(name, jetStreamReady("nats://"+clients[i], size), "nats-server", file)
	}
	return nil
}

// natsConfig returns the configuration of a NATS server, with the limits that laneway serve
// sets, so that both systems can have the same in flight.
func natsConfig(number int, listen, folder, sync string) string {
	config := fmt.Sprintf("server_name: bench-%d\nlisten: %s\nmax_payload: 8MB\nmax_pending: 512MB\njetstream {\n  store_dir: %q\n",
		number, listen, folder)
	if sync == syncAlways {
		config += "  sync_interval: always\n"
	}
	return config + "}\n"
}

func clusterConfig(listen string, routes []string) string {
	return fmt.Sprintf("cluster {\n  name: bench\n  listen: %s\n  routes: [\"nats://%s\"]\n}\n",
		listen, strings.Join(routes, `", "nats://`))
}

// pageReady asks a process of Laneway whether it is ready.
func pageReady(http string) func(context.Context) error {
	return func(ctx context.Context) error { return health.Healthcheck(ctx, "http://"+http+"/readyz") }
}

// jetStreamReady asks a NATS server whether JetStream is ready. In a cluster that is so
// once a leader can place a stream on all servers.
func jetStreamReady(url string, size int) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := nats.Connect(url, nats.Timeout(time.Second))
		if err != nil {
			return err
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if size == 1 {
			_, err = js.AccountInfo(ctx)
			return err
		}
		// Only a leader that knows enough peers can place a stream on them.
		const probe = "BENCH_PROBE"
		if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: probe, Replicas: size}); err != nil {
			return err
		}
		err = js.DeleteStream(ctx, probe)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	}
}

// NATSServer is laneway nats-server, a hidden command. Bench compares Laneway with it,
// because it is the server of the same version that laneway serve embeds.
type NATSServer struct {
	File string `arg:"" help:"Configuration file of the NATS server."`
}

// Help implements kong.HelpProvider.
func (*NATSServer) Help() string {
	return `The server of NATS, unchanged, of the version that laneway serve embeds.

Example:

    laneway nats-server deploy/nats/nats-server.conf`
}

// Run runs the server until a signal.
func (c *NATSServer) Run(a *cli.App) error {
	options, err := natsserver.ProcessConfigFile(c.File)
	if err != nil {
		return cli.Misuse("%w", err)
	}
	options.NoSigs = true
	nats, err := natsserver.NewServer(options)
	if err != nil {
		return fmt.Errorf("setting up the NATS server: %w", err)
	}
	nats.ConfigureLogger()
	nats.Start()
	<-a.Ctx.Done()
	nats.Shutdown()
	nats.WaitForShutdown()
	return nil
}
