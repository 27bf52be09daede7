package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
	"laneway.dev/test/s3server"
)

// benchmark is a run of laneway bench with a folder that must be empty afterwards.
type benchmark struct {
	*exec.Cmd
	folder         string
	stdout, stderr bytes.Buffer
}

func newBenchmark(ctx context.Context, t *testing.T, args ...string) *benchmark {
	t.Helper()
	b := &benchmark{folder: t.TempDir()}
	b.Cmd = exec.CommandContext(ctx, machine.Binary("laneway"), append([]string{"bench"}, args...)...)
	b.Args = append(b.Args, "--data", b.folder)
	b.Stdout, b.Stderr = &b.stdout, &b.stderr
	b.Cancel = func() error { return b.Process.Signal(syscall.SIGTERM) }
	b.WaitDelay = 30 * time.Second
	return b
}

// clean checks that nothing is left of the servers.
func (b *benchmark) clean(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(b.folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	if running := running(t, b.folder); len(running) > 0 {
		t.Errorf("still running: %q", running)
	}
}

// running returns the command lines of processes that work in a folder.
func running(t *testing.T, folder string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		// A process may end in between.
		if content, err := os.ReadFile(line); err == nil && bytes.Contains(content, []byte(folder)) {
			found = append(found, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return found
}

// benchReport is what a reader of the JSON relies on.
type benchReport struct {
	Work       struct{ Name string }
	Unit       string
	Contenders []struct {
		Name   string
		Median float64
		Rounds []struct {
			Records, Bytes int64
			Value          float64
			Store          *struct{ Bytes int64 }
			Servers        *struct {
				MemoryBytes int64 `json:"memory_bytes"`
			}
			Latency *struct {
				P50 float64 `json:"p50_ms"`
			}
		}
	}
	Ratios []struct {
		Against string
		Ratio   float64
		Best    bool
	}
}

func (b *benchmark) report(t *testing.T) (r benchReport) {
	t.Helper()
	if err := b.Run(); err != nil {
		t.Fatalf("%v: %s", err, b.stderr.String())
	}
	if err := json.Unmarshal(b.stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, b.stdout.String())
	}
	b.clean(t)
	return r
}

func TestBenchComparesWithJetStream(t *testing.T) {
	for work, c := range map[string]struct {
		contenders int
		flags      []string
	}{
		"produce": {7, []string{"--duration", "100ms", "--bytes", "1MiB"}},
		"publish": {3, []string{"--duration", "100ms", "--bytes", "256KiB"}},
		"consume": {3, []string{"--bytes", "4MiB"}},
		"latency": {3, []string{"--duration", "100ms"}},
	} {
		t.Run(work, func(t *testing.T) {
			html := filepath.Join(t.TempDir(), "report.html")
			flags := append([]string{work, "--versus", "jetstream", "--rounds", "2", "--json", "--html", html}, c.flags...)
			r := newBenchmark(within(t, 3*time.Minute), t, flags...).report(t)
			if r.Work.Name != work || len(r.Contenders) != c.contenders || len(r.Ratios) != c.contenders-1 {
				t.Fatalf("%+v", r)
			}
			for _, one := range r.Contenders {
				if one.Median <= 0 || len(one.Rounds) != 2 {
					t.Errorf("%+v", one)
				}
				for _, round := range one.Rounds {
					if round.Records <= 0 || round.Bytes != 1024*round.Records || round.Value <= 0 || (work == "latency") != (round.Latency != nil) {
						t.Errorf("%s: %+v", one.Name, round)
					}
				}
			}
			for i, ratio := range r.Ratios {
				if ratio.Ratio <= 0 || ratio.Against != r.Contenders[i+1].Name {
					t.Errorf("%+v", ratio)
				}
			}
			page, err := os.ReadFile(html)
			if err != nil || !bytes.Contains(page, []byte("</html>")) {
				t.Errorf("the page: %v, %d bytes", err, len(page))
			}
		})
	}
}

func TestBenchSpreadsRecordsOverManyPartitions(t *testing.T) {
	for name, c := range map[string]struct {
		contenders []string
		flags      []string
	}{
		"produce": {spreadContenders("async publish"), []string{"--partitions", "3", "--duration", "100ms", "--bytes", "1MiB"}},
		"publish": {spreadContenders("async publish"), []string{"--partitions", "3", "--duration", "100ms", "--bytes", "256KiB"}},
		"latency": {spreadContenders("publish"), []string{"--partitions", "3", "--rate", "200", "--duration", "100ms"}},
		"create":  {lifecycleContenders(), []string{"--partitions", "3"}},
		"restart": {lifecycleContenders(), []string{"--topics", "2", "--partitions", "2", "--producing", "3", "--producers", "2"}},
		"idle":    {lifecycleContenders(), []string{"--topics", "3", "--duration", "100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			flags := append([]string{name, "--versus", "jetstream", "--rounds", "1", "--json"}, c.flags...)
			r := newBenchmark(within(t, 3*time.Minute), t, flags...).report(t)
			var names []string
			for _, one := range r.Contenders {
				names = append(names, one.Name)
				if one.Median <= 0 || len(one.Rounds) != 1 || one.Rounds[0].Servers == nil || one.Rounds[0].Servers.MemoryBytes <= 0 {
					t.Errorf("%+v", one)
				}
			}
			if r.Work.Name != name || !slices.Equal(names, c.contenders) {
				t.Errorf("%s compares %q, want %q", r.Work.Name, names, c.contenders)
			}
		})
	}
}

func spreadContenders(mode string) []string {
	return []string{"laneway", "laneway, one partition", "jetstream " + mode + ", sync default", "jetstream " + mode + ", sync always"}
}

func lifecycleContenders() []string {
	return []string{"laneway", "jetstream streams, sync default", "jetstream streams, sync always"}
}

func TestBenchSendsARecordAMinuteToEachTopic(t *testing.T) {
	// 60 topics with a record a minute each get one in a second.
	r := newBenchmark(within(t, 3*time.Minute), t, "latency", "--topics", "60", "--duration", "1s", "--rounds", "1", "--json").report(t)
	if len(r.Contenders) != 2 || r.Contenders[0].Rounds[0].Records != 1 || r.Contenders[0].Median <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestBenchMeasuresWithArchiving(t *testing.T) {
	r := newBenchmark(within(t, 3*time.Minute), t, "produce", "--rounds", "1", "--json", "--duration", "2s", "--bytes", "64MiB", "--archive-bytes", "1MiB").report(t)
	if len(r.Contenders) != 1 || len(r.Contenders[0].Rounds) != 1 {
		t.Fatalf("%+v", r)
	}
	// What is archived is stored twice.
	if round := r.Contenders[0].Rounds[0]; round.Store.Bytes < round.Bytes+1<<20 {
		t.Errorf("%d bytes of records, %d bytes stored", round.Bytes, round.Store.Bytes)
	}
}

func TestBenchKeepsReplicasInACluster(t *testing.T) {
	r := newBenchmark(within(t, 5*time.Minute), t, "publish", "--versus", "jetstream", "--cluster", "3", "--partitions", "2", "--rounds", "1",
		"--json", "--duration", "100ms", "--bytes", "256KiB").report(t)
	if len(r.Contenders) != 4 {
		t.Errorf("%+v", r)
	}
}

func TestBenchUsesARunningLanewayAndLeavesNoTopic(t *testing.T) {
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	before := f.Output(f.Laneway(ctx, "topic", "list"), nil)
	b := newBenchmark(ctx, t, "consume", "--nats", f.URL(), "--rounds", "1", "--bytes", "1MiB", "--json")
	r := b.report(t)
	if !strings.Contains(b.stderr.String(), "payloads stay in the object store") {
		t.Errorf("it is not said what stays: %s", b.stderr.String())
	}
	if len(r.Contenders) != 1 || r.Contenders[0].Rounds[0].Records != 1024 {
		t.Errorf("%+v", r)
	}
	spread := newBenchmark(ctx, t, "latency", "--nats", f.URL(), "--rounds", "1", "--topics", "3", "--rate", "100", "--duration", "100ms", "--json").report(t)
	if len(spread.Contenders) != 2 || spread.Contenders[0].Rounds[0].Records != 10 || spread.Contenders[0].Rounds[0].Servers != nil {
		t.Errorf("%+v", spread)
	}
	if after := f.Output(f.Laneway(ctx, "topic", "list"), nil); after != before {
		t.Errorf("topics were\n%s\nand are\n%s", before, after)
	}
}

func TestAnInterruptedBenchLeavesNothing(t *testing.T) {
	ctx := within(t, time.Minute)
	html := filepath.Join(t.TempDir(), "report.html")
	b := newBenchmark(ctx, t, "produce", "--versus", "jetstream", "--duration", "10m", "--html", html)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	err := deployment.Eventually(ctx, func(context.Context) error {
		for _, line := range running(t, b.folder) {
			if strings.Contains(line, " serve ") {
				return nil
			}
		}
		return context.DeadlineExceeded
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(); err == nil || !strings.Contains(b.stderr.String(), "interrupted") {
		t.Errorf("%v: %s", err, b.stderr.String())
	}
	b.clean(t)
	if left, err := os.ReadDir(filepath.Dir(html)); err != nil || len(left) > 0 {
		t.Errorf("left of the page: %v, %v", left, err)
	}
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	ctx := within(t, time.Minute)
	for _, flags := range [][]string{
		{"produce", "--versus", "jetstream", "--nats", "nats://127.0.0.1:1"},
		{"produce", "--cluster", "2"},
		{"produce", "--versus", "kafka"},
		{"latency", "--html", "/nowhere/report.html"},
		{"consume", "--record-bytes", "1"},
		{"produce", "--partitions", "1000000"},
		{"idle", "--nats", "nats://127.0.0.1:1"},
		{"restart", "--producing", "2"},
		{"consume", "--partitions", "2"},
	} {
		code, output, err := deployment.ExitCode(newBenchmark(ctx, t, flags...).bare())
		if err != nil || code != 2 || !strings.Contains(output, "what to do: ") && !slices.Contains(flags, "--html") {
			t.Errorf("%v: exit code %d, %v: %s", flags, code, err, output)
		}
	}
}

func TestBenchTestsItsStoreBeforeItStartsServers(t *testing.T) {
	for _, name := range []string{"no such bucket", "unknown key", "nothing listens"} {
		t.Run(name, func(t *testing.T) {
			c := wrongStores[name]
			problem := c.make(t)
			b := newBenchmark(within(t, time.Minute), t, "produce", "--store", problem.location)
			b.Env = append(s3server.Environ(), problem.env...)
			err := b.Run()
			said := b.stderr.String()
			if err == nil || !strings.Contains(said, c.says[0]) || !strings.Contains(said, "what to do: ") || strings.Contains(said, "--data") || strings.Contains(said, "serve") {
				t.Errorf("%v, want the cause and what to do:\n%s", err, said)
			}
			b.clean(t)
		})
	}
}

// bare returns the command with nothing connected to it.
func (b *benchmark) bare() *exec.Cmd {
	b.Stdout, b.Stderr = nil, nil
	return b.Cmd
}
