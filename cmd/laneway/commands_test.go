package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats-server/v2/server"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

// parse returns what the arguments make of the command line.
func parse(t *testing.T, args ...string) (*commandLine, error) {
	t.Helper()
	var c commandLine
	err := clitest.Parse(t, &c, args...)
	return &c, err
}

func mustParse(t *testing.T, args ...string) *commandLine {
	t.Helper()
	c, err := parse(t, args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "laneway.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedenceOfFlagSources(t *testing.T) {
	file := writeConfig(t, `{"object-bytes": "1MiB", "linger": "1s", "uploads": 3, "data": "/from/file"}`)
	t.Setenv("LANEWAY_LINGER", "2s")
	t.Setenv("LANEWAY_UPLOADS", "4")
	c := mustParse(t, "serve", "--config", file, "--uploads", "5")
	if c.Serve.Uploads != 5 {
		t.Errorf("uploads is %d, the command line says 5", c.Serve.Uploads)
	}
	if got := c.Serve.Linger; got == nil || time.Duration(*got) != 2*time.Second {
		t.Errorf("linger is %v, the variable says 2s", got)
	}
	if c.Serve.ObjectBytes != 1<<20 || c.Serve.Data != "/from/file" {
		t.Errorf("object-bytes is %d and data %q, the file says 1MiB and /from/file", c.Serve.ObjectBytes, c.Serve.Data)
	}
	if c.Serve.HTTP != "127.0.0.1:8090" {
		t.Errorf("http is %q, want the default: nothing sets it", c.Serve.HTTP)
	}
}

func TestVariableNamesConfigFile(t *testing.T) {
	t.Setenv("LANEWAY_CONFIG", writeConfig(t, `{"object_bytes": 65536, "fault": ["stage.delay=uniform(0,200ms)", "stage.fail=0.5"]}`))
	c := mustParse(t, "serve")
	if c.Serve.ObjectBytes != 65536 {
		t.Errorf("object-bytes is %d", c.Serve.ObjectBytes)
	}
	if len(c.Serve.Fault) != 2 || c.Serve.Fault[0] != "stage.delay=uniform(0,200ms)" {
		t.Errorf("fault is %q", c.Serve.Fault)
	}
}

func TestRejectsBadConfigFile(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown key": {`{"object-bites": 1}`, `"object-bites"`},
		"not JSON":    {`object-bytes = 1`, "not a JSON object"},
		"array":       {`[]`, "not a JSON object"},
		"bad value":   {`{"linger": "soon"}`, "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, "serve", "--config", writeConfig(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not say %s", err, c.says)
			}
		})
	}
	t.Run("file that is not there", func(t *testing.T) {
		if _, err := parse(t, "serve", "--config", "/nowhere/laneway.json"); err == nil {
			t.Error("by the command line: no error")
		}
		t.Setenv("LANEWAY_CONFIG", "/nowhere/laneway.json")
		if _, err := parse(t, "serve"); err == nil {
			t.Error("by the variable: no error")
		}
	})
}

func TestNATSURLVariable(t *testing.T) {
	t.Setenv("NATS_URL", "nats://example:4222")
	if c := mustParse(t, "consume", "orders"); c.Consume.Server != "nats://example:4222" {
		t.Errorf("consume: server is %q", c.Consume.Server)
	}
	if c := mustParse(t, "sequencer"); c.Sequencer.NATS != "nats://example:4222" {
		t.Errorf("sequencer: nats is %q", c.Sequencer.NATS)
	}
	t.Setenv("LANEWAY_SERVER", "nats://own:4222")
	if c := mustParse(t, "produce", "orders"); c.Produce.Server != "nats://own:4222" {
		t.Errorf("produce: server is %q, LANEWAY_SERVER says more than NATS_URL", c.Produce.Server)
	}
}

func TestFaultsWithCommas(t *testing.T) {
	want := []string{"stage.delay=uniform(0,200ms)", "stage.fail=0.01"}
	c := mustParse(t, "serve", "--fault", want[0], "--fault", want[1])
	if strings.Join(c.Serve.Fault, " ") != strings.Join(want, " ") {
		t.Errorf("flags: %q", c.Serve.Fault)
	}
	t.Setenv("LANEWAY_FAULT", strings.Join(want, ";"))
	c = mustParse(t, "stager", "--nats", "nats://x", "--store", "/x")
	if strings.Join(c.Stager.Fault, " ") != strings.Join(want, " ") {
		t.Errorf("variable: %q", c.Stager.Fault)
	}
}

func TestDefaultsOfServe(t *testing.T) {
	c := mustParse(t, "serve")
	for name, ok := range map[string]bool{
		"object-bytes":  c.Serve.ObjectBytes == 4<<20,
		"linger":        c.Serve.Linger == nil,
		"deadline":      time.Duration(c.Serve.Deadline) == 30*time.Second,
		"heartbeat":     time.Duration(c.Serve.Heartbeat) == 200*time.Millisecond,
		"stage-timeout": time.Duration(c.Serve.StageTimeout) == 2*time.Second,
		"cache-bytes":   c.Serve.CacheBytes == 64<<20,
	} {
		if !ok {
			t.Errorf("--%s", name)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"serv"},
		{"serve", "--listne", "x"},
		{"topic"},
		{"topic", "create"},
		{"stager", "--nats", "nats://x"},
		{"sequencer"},
		{"serve", "--object-bytes", "many"},
		{"serve", "--linger=-1s"},
		{"serve", "--uploads=-1"},
		{"serve", "--log-level", "loud"},
		{"serve", "--fault", "stage.dely=1s"},
		{"consume", "orders", "--from", "yesterday"},
	} {
		a, stdout, stderr := clitest.App(t)
		if code := run(a, args); code != cli.ExitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
		if !strings.HasPrefix(stderr.String(), "laneway: ") || stdout.Len() > 0 {
			t.Errorf("%q: stderr %q, stdout %q", args, stderr, stdout)
		}
	}
}

// commands returns the words of every command.
func commands(t *testing.T) [][]string {
	t.Helper()
	a, _, _ := clitest.App(t)
	parser, err := cli.NewParser(a, &commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, leaf := range parser.Model.Leaves(false) {
		var words []string
		for node := leaf; node != nil && node.Type == kong.CommandNode; node = node.Parent {
			words = append([]string{node.Name}, words...)
		}
		all = append(all, words)
	}
	return all
}

var example = regexp.MustCompile(`(?m)^    (laneway .*)$`)

func TestHelpHasParsingExamples(t *testing.T) {
	for _, words := range commands(t) {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			a, stdout, _ := clitest.App(t)
			if code := run(a, append(words, "--help")); code != cli.ExitDone {
				t.Fatalf("exit code %d", code)
			}
			lines := example.FindAllStringSubmatch(stdout.String(), -1)
			if len(lines) == 0 {
				t.Fatalf("no example in:\n%s", stdout)
			}
			for _, line := range lines {
				command, _, _ := strings.Cut(line[1], " <")
				command, _, _ = strings.Cut(command, " >")
				args := strings.Fields(strings.ReplaceAll(command, "'", ""))[1:]
				if len(args) < len(words) || strings.Join(args[:len(words)], " ") != strings.Join(words, " ") {
					t.Errorf("%q is an example of another command", line[1])
				}
				if _, err := parse(t, args...); err != nil {
					t.Errorf("%q: %v", line[1], err)
				}
			}
		})
	}
}

func TestNoArgumentsPrintHelp(t *testing.T) {
	a, stdout, _ := clitest.App(t)
	if code := run(a, nil); code != cli.ExitDone || !strings.Contains(stdout.String(), "Exit codes: 0 done") {
		t.Errorf("exit code %d, output:\n%s", code, stdout)
	}
}

func TestVersion(t *testing.T) {
	a, stdout, _ := clitest.App(t)
	if code := run(a, []string{"version"}); code != cli.ExitDone {
		t.Fatalf("exit code %d", code)
	}
	if ok, _ := regexp.MatchString(`^laneway \S+, NATS server \d+\.\d+\.\d+, go`, stdout.String()); !ok {
		t.Errorf("%q", stdout)
	}
}

func TestUnreachableServer(t *testing.T) {
	a, _, stderr := clitest.App(t)
	ctx, cancel := context.WithTimeout(a.Ctx, time.Minute)
	defer cancel()
	a.Ctx = ctx
	code := run(a, []string{"topic", "list", "--server", "nats://127.0.0.1:1"})
	if code != cli.ExitFailed || !strings.Contains(stderr.String(), "what to do: start Laneway with: laneway serve") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

// guardedNATS runs a NATS server that accepts one user, and returns its address.
func guardedNATS(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "alice", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("NATS does not start")
	}
	return strings.TrimPrefix(s.ClientURL(), "nats://")
}

func TestRejectedCredentials(t *testing.T) {
	address := guardedNATS(t)
	for name, args := range map[string][]string{
		"topic list with a wrong password": {"topic", "list", "--server", "nats://alice:guess@" + address},
		"topic list without credentials":   {"topic", "list", "--server", "nats://" + address},
		"sequencer with a wrong password":  {"sequencer", "--nats", "nats://alice:guess@" + address},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, stderr := clitest.App(t)
			code := run(a, args)
			said := strings.ToLower(stderr.String())
			if code != cli.ExitFailed || !strings.Contains(said, "authorization violation") || !strings.Contains(said, "nats://user:password@host") {
				t.Errorf("exit code %d, stderr:\n%s", code, stderr)
			}
			if strings.Contains(said, "guess") || strings.Contains(said, "laneway serve") {
				t.Errorf("stderr shows the password, or advises to start Laneway:\n%s", stderr)
			}
		})
	}
}
