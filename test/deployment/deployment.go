package deployment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"laneway.dev/test/machine"
	"laneway.dev/test/s3server"
)

// Kind is a way to run Laneway.
type Kind string

// The kinds. Every test of what users rely on runs over both.
const (
	OneProcess    Kind = "serve"
	RoleProcesses Kind = "processes" // NATS, and one for each role
	// Running is one that was started by others; RunningURL names its NATS server.
	Running Kind = "running"
)

// RunningURL is the variable with the URL of the NATS server of a deployment
// that runs already, such as that of the compose file.
const RunningURL = "LANEWAY_TEST_NATS_URL"

// Roles, by which processes are named.
const (
	Serve      = "serve" // all in one
	NATS       = "nats"
	Frontend   = "frontend"
	Stager     = "stager"
	Sequencer  = "sequencer"
	Replicator = "replicator"
	Archiver   = "archiver"
)

// startTimeout bounds the start of a deployment on a busy machine, stopTimeout
// its clean end.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// Options say how a deployment differs from the defaults.
type Options struct {
	Binary     string   // instead of the one that is shipped
	Stager     []string // flags of the process that stages
	Frontend   []string // flags of the process that producers and consumers talk to
	Replicator []string // flags of the process that appends to the logs
	Archiver   []string // flags of the process that archives and collects
	NATS       string   // more configuration of the NATS server; for RoleProcesses only
	Env        []string // variables of all processes
	Data       string   // data folder of serve and of NATS; a new one by default
	Store      string   // location of the object store; by default a new one, see LANEWAY_TEST_STORE
}

// Deployment is a running Laneway.
type Deployment struct {
	Kind    Kind
	Data    string // data folder; of serve and of NATS
	Store   string // location of the object store
	t       testing.TB
	options Options
	nats    string
	folder  string
	s3      *s3server.Server // nil unless it was started for this deployment
	objects string           // folder of the object store
	members []*member        // in the order of their start
}

// member is the process of a role, over its restarts.
type member struct {
	role   string
	binary string
	args   []string
	http   string // address of its pages; empty if it has none of ours
	log    string
	*process
}

// Each runs a test over every kind of deployment.
func Each(t *testing.T, test func(t *testing.T, kind Kind)) {
	for _, kind := range []Kind{OneProcess, RoleProcesses} {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}

// Everywhere is Each, and over the deployment that runs already if there is one.
// Such a deployment has no processes that a test could end or look into.
func Everywhere(t *testing.T, test func(t *testing.T, kind Kind)) {
	Each(t, test)
	if os.Getenv(RunningURL) != "" {
		t.Run(string(Running), func(t *testing.T) { test(t, Running) })
	}
}

// Start runs a deployment that is ready for producers and consumers, until the
// test ends. Its data is new.
func Start(t testing.TB, kind Kind, options Options) *Deployment {
	t.Helper()
	d := &Deployment{Kind: kind, t: t, options: options, nats: machine.Address(t), folder: t.TempDir()}
	if d.Data = options.Data; d.Data == "" {
		d.Data = filepath.Join(d.folder, "data")
	}
	if d.options.Binary == "" {
		d.options.Binary = machine.Binary("laneway")
	}
	d.chooseStore()
	d.describe()
	t.Cleanup(d.end)
	for _, m := range d.members {
		d.start(m)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	d.AwaitReady(ctx)
	return d
}

// For returns the deployment for a subtest, or another part of the test that
// started it: what goes wrong there fails that.
func (d *Deployment) For(t testing.TB) *Deployment {
	part := *d
	part.t = t
	return &part
}

// describe says which processes there are.
func (d *Deployment) describe() {
	switch d.Kind {
	case Running:
		d.nats = strings.TrimPrefix(os.Getenv(RunningURL), "nats://")
		return
	case OneProcess:
		args := []string{"--listen", d.nats, "--data", d.Data, "--store", d.Store}
		d.add(Serve, slices.Concat(args, d.options.Stager, d.options.Frontend, d.options.Replicator, d.options.Archiver)...)
		return
	}
	d.addNATS()
	d.add(Archiver, append([]string{"--nats", d.URL(), "--store", d.Store}, d.options.Archiver...)...)
	d.add(Replicator, append([]string{"--nats", d.URL()}, d.options.Replicator...)...)
	d.add(Sequencer, "--nats", d.URL())
	d.add(Stager, append([]string{"--nats", d.URL(), "--store", d.Store}, d.options.Stager...)...)
	d.add(Frontend, append([]string{"--nats", d.URL(), "--store", d.Store}, d.options.Frontend...)...)
}

func (d *Deployment) add(role string, flags ...string) {
	m := &member{role: role, binary: d.options.Binary, http: machine.Address(d.t), log: filepath.Join(d.folder, role+".log")}
	m.args = append([]string{role, "--http", m.http, "--log-format", "console"}, flags...)
	d.members = append(d.members, m)
}

// natsConfig has the settings of deploy/nats/nats-server.conf that matter.
const natsConfig = `
server_name: laneway-nats
listen: %s
max_payload: 8MB
max_pending: 512MB
jetstream {
  store_dir: %q
  max_memory_store: 64MB
  sync_interval: always
}
include %q
`

// natsIncluded is the file beside NATS' configuration that tests may write.
const natsIncluded = "included.conf"

func (d *Deployment) addNATS() {
	config := filepath.Join(d.folder, "nats.conf")
	content := append(fmt.Appendf(nil, natsConfig, d.nats, d.Data, natsIncluded), d.options.NATS...)
	if err := os.WriteFile(config, content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.includeInNATS("")
	d.members = append(d.members, &member{
		role: NATS, binary: machine.Binary("nats-server"), args: []string{"--config", config}, log: filepath.Join(d.folder, "nats.log"),
	})
}

func (d *Deployment) includeInNATS(text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.folder, natsIncluded), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// ConfigureNATS makes the running NATS server include a text in its
// configuration, instead of the one before.
func (d *Deployment) ConfigureNATS(ctx context.Context, text string) {
	d.t.Helper()
	const reloaded = "Reloaded server configuration"
	before := strings.Count(d.Log(NATS), reloaded)
	d.includeInNATS(text)
	if err := d.member(NATS).signal(syscall.SIGHUP); err != nil {
		d.t.Fatal(err)
	}
	err := Eventually(ctx, func(context.Context) error {
		if strings.Count(d.Log(NATS), reloaded) == before {
			return errors.New("NATS has not loaded its configuration again")
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// URL returns that of the NATS server.
func (d *Deployment) URL() string { return "nats://" + d.nats }

// Roles returns the names of the processes in the order of their start.
func (d *Deployment) Roles() []string {
	var roles []string
	for _, m := range d.members {
		roles = append(roles, m.role)
	}
	return roles
}

// Kill ends the process of a role by SIGKILL.
func (d *Deployment) Kill(role string) {
	d.t.Helper()
	if code := d.endMember(role, syscall.SIGKILL); code != -1 {
		d.t.Fatalf("%s had ended by itself with code %d before it was killed", role, code)
	}
}

// Terminate ends the process of a role by SIGTERM and returns its exit code.
func (d *Deployment) Terminate(role string) int {
	d.t.Helper()
	return d.endMember(role, syscall.SIGTERM)
}

func (d *Deployment) endMember(role string, s syscall.Signal) int {
	d.t.Helper()
	m := d.member(role)
	if err := m.signal(s); err != nil {
		d.t.Fatalf("signal %s: %v", role, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	code, err := m.wait(ctx)
	if err != nil {
		d.t.Fatalf("%s: %v", role, err)
	}
	return code
}

// Restart starts the process of a role again, as it was started first. It does
// not wait until it is ready.
func (d *Deployment) Restart(role string) {
	d.t.Helper()
	d.start(d.member(role))
}

// Log returns what the processes of a role have printed.
func (d *Deployment) Log(role string) string {
	d.t.Helper()
	content, err := os.ReadFile(d.member(role).log)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(content)
}

func (d *Deployment) start(m *member) {
	d.t.Helper()
	env := append(environment("LANEWAY_", "NATS_", "OTEL_"), d.options.Env...)
	var err error
	if m.process, err = startProcess(m.binary, m.args, env, m.log); err != nil {
		d.t.Fatalf("start %s: %v", m.role, err)
	}
}

func (d *Deployment) member(role string) *member {
	d.t.Helper()
	for _, m := range d.members {
		if m.role == role {
			return m
		}
	}
	d.t.Fatalf("%s has no process %s", d.Kind, role)
	return nil
}

// end stops what still runs, the last started first, and shows the logs of a
// test that has failed.
func (d *Deployment) end() {
	for i := len(d.members) - 1; i >= 0; i-- {
		m := d.members[i]
		if m.process == nil || m.ended() {
			continue
		}
		if code := d.Terminate(m.role); code != 0 {
			d.t.Errorf("%s ended with code %d", m.role, code)
		}
	}
	if d.t.Failed() {
		for _, m := range d.members {
			d.t.Logf("log of %s:\n%s", m.role, tail(d.Log(m.role)))
		}
	}
}

// tail returns the last lines of a log.
func tail(log string) string {
	const most = 60
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "")
}
