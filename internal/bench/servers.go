package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/health"
)

// How JetStream brings its files to the disk.
const (
	syncAlways  = "always"  // before an acknowledgement
	syncDefault = "default" // every two minutes
)

// servers are a running Laneway or JetStream. They belong to one goroutine.
type servers struct {
	binary    string
	folder    string // theirs alone; empty if they are somebody else's
	url       string
	processes []*process // in the order of their start
}

// launch starts what a system needs on a folder of its own below parent.
func launch(ctx context.Context, p *Plan, system, sync string) (s *servers, err error) {
	if system == Laneway && p.Server != "" {
		return &servers{url: p.Server}, nil
	}
	folder, err := os.MkdirTemp(p.Folder, "laneway-bench-")
	if err != nil {
		return nil, err
	}
	s = &servers{binary: p.Binary, folder: folder}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	switch {
	case system == Laneway && p.Cluster == 1:
		err = s.describeServe()
	case system == Laneway:
		err = s.describeRoles(p.Cluster)
	default:
		err = s.describeNATS(p.Cluster, sync)
	}
	if err == nil {
		err = s.start(ctx)
	}
	return s, err
}

// start starts the processes, which wait for each other, and returns when all
// of them serve.
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

// restart ends the processes and starts them again on the same data: nothing
// is left in their memory. Servers of somebody else are left alone.
func (s *servers) restart(ctx context.Context) error {
	if err := s.stop(); err != nil {
		return err
	}
	return s.start(ctx)
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

// describeServe is all of Laneway in one process.
func (s *servers) describeServe() error {
	free, err := addresses(2)
	if err != nil {
		return err
	}
	s.url = "nats://" + free[0]
	s.add("serve", pageReady(free[1]), "serve", "--listen", free[0], "--http", free[1], "--data", filepath.Join(s.folder, "data"))
	return nil
}

// describeRoles is a cluster of NATS and a process for each of Laneway's roles.
func (s *servers) describeRoles(size int) error {
	if err := s.describeNATS(size, syncAlways); err != nil {
		return err
	}
	free, err := addresses(4)
	if err != nil {
		return err
	}
	store := filepath.Join(s.folder, "objects")
	for i, role := range []string{"replicator", "sequencer", "stager", "frontend"} {
		args := []string{role, "--nats", s.url, "--http", free[i]}
		if role == "stager" || role == "frontend" {
			args = append(args, "--store", store)
		}
		s.add(role, pageReady(free[i]), args...)
	}
	return nil
}

// describeNATS is a NATS server with JetStream, or a cluster of them.
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

// natsConfig has the limits that laneway serve sets too.
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

// jetStreamReady asks a NATS server for JetStream; in a cluster the answer
// needs its leader.
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
