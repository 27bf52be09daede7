package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

func TestLinesComeBackAsTheyWere(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		const lines = "first\n\ncarriage return\r\n\n  spaces \x00 zero \xff\xfe not text\nlast\n"
		f.Output(f.Laneway(ctx, "produce", "orders"), strings.NewReader(lines))
		if got := f.Output(f.Laneway(ctx, "consume", "orders"), nil); got != lines {
			t.Errorf("%q came back, want %q", got, lines)
		}
		f.Output(f.Laneway(ctx, "produce", "orders"), strings.NewReader("no line feed at the end"))
		if got, want := f.Output(f.Laneway(ctx, "consume", "orders", "--from", "6"), nil), "no line feed at the end\n"; got != want {
			t.Errorf("%q came back, want %q", got, want)
		}
	})
}

func TestConsumePrintsJSON(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	text := record(`<a> "quoted" ü`)
	text.Header = nats.Header{"Kind": {"text", "second value"}}
	for _, m := range []*nats.Msg{text, record("\xff\xfe")} {
		if ack := f.request(ctx, t, m); ack.Error != nil {
			t.Fatal(ack.Error)
		}
	}
	lines := strings.Split(strings.TrimSpace(f.Output(f.Laneway(ctx, "consume", "orders", "--json"), nil)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	for n, want := range []map[string]any{
		{"offset": 0.0, "value": `<a> "quoted" ü`, "headers": map[string]any{"Kind": []any{"text", "second value"}}},
		{"offset": 1.0, "value_base64": base64.StdEncoding.EncodeToString([]byte("\xff\xfe")), "headers": map[string]any{}},
	} {
		want["topic"], want["partition"] = "orders", 0.0
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[n]), &got); err != nil {
			t.Fatalf("%v in %s", err, lines[n])
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil {
			t.Errorf("time: %v", err)
		}
		delete(got, "time")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("line %d is %s, want %v", n, lines[n], want)
		}
	}
}

func TestConsumeWithACountWaitsForThatMany(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		f.Output(f.Laneway(ctx, "produce", "orders"), strings.NewReader("a\nb\nc\n"))
		if got := f.Output(f.Laneway(ctx, "consume", "orders", "--count", "2"), nil); got != "a\nb\n" {
			t.Errorf("%q came back", got)
		}
		waiting := f.Laneway(ctx, "consume", "orders", "--count", "4")
		out, err := waiting.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := waiting.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, want := range []string{"a", "b", "c"} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("%q came, want %q", lines.Text(), want)
			}
		}
		f.Output(f.Laneway(ctx, "produce", "orders"), strings.NewReader("d\ne\n"))
		if !lines.Scan() || lines.Text() != "d" || lines.Scan() {
			t.Errorf("%q came last", lines.Text())
		}
		if err := waiting.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestConsumeThatFollowsIsWokenByEveryCommit(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		if ack := f.request(ctx, t, record("begin")); ack.Error != nil {
			t.Fatal(ack.Error)
		}
		following := f.Laneway(ctx, "consume", "orders", "--follow")
		out, err := following.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := following.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "begin" {
			t.Fatalf("%q came first", lines.Text())
		}
		// Each record is sent as soon as the previous one has arrived. A consumer that polls
		// would therefore need almost its full interval for every record. A consumer that is
		// woken receives at least one of many records soon, even on a busy machine.
		const few, many, soon = 20, 200, 100 * time.Millisecond
		var delays []time.Duration
		for n := 0; n < few || n < many && slices.Min(delays) > soon; n++ {
			value := fmt.Sprint("record ", n)
			if ack := f.request(ctx, t, record(value)); ack.Error != nil {
				t.Fatal(ack.Error)
			}
			acked := time.Now()
			if !lines.Scan() || lines.Text() != value {
				t.Fatalf("%q came, want %q", lines.Text(), value)
			}
			delays = append(delays, time.Since(acked))
		}
		slices.Sort(delays)
		t.Logf("from the answer to the line: median %s, slowest %s", delays[len(delays)/2], delays[len(delays)-1])
		if delays[0] > soon {
			t.Errorf("a follower gets all of %d records late, by %s at least", len(delays), delays[0])
		}
		if err := following.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if lines.Scan() {
			t.Errorf("%q came at the end", lines.Text())
		}
		if err := following.Wait(); err != nil {
			t.Errorf("interrupted, it ends with: %v", err)
		}
	})
}

// help is all that the command line says of a command.
func help(ctx context.Context, f *fixture, words ...string) string {
	return f.Output(f.Laneway(ctx, append(words, "--help")...), nil)
}

var example = regexp.MustCompile(`(?m)^    (laneway .*)$`)

// The examples of the commands that run services and of healthcheck name the
// default ports, which a test must not take: those are not run.
func TestExamplesOfTheHelpWorkAsPrinted(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	d := deployment.Start(t, deployment.OneProcess, deployment.Options{})
	f := &fixture{Deployment: d}
	ran := 0
	for _, words := range [][]string{
		{"topic", "create"}, {"topic", "list"}, {"topic", "info"}, {"produce"}, {"consume"}, {"topic", "delete"},
	} {
		for _, match := range example.FindAllStringSubmatch(help(ctx, f, words...), -1) {
			line := match[1]
			if strings.Contains(line, "--follow") {
				continue // without end
			}
			f.Output(f.Shell(ctx, line), nil)
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("only %d examples were found", ran)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"topic", "create", "orders"}, 1, "TOPIC_EXISTS"},
		{[]string{"consume", "nothing"}, 1, "UNKNOWN_TOPIC"},
		{[]string{"topic", "delete", "nothing"}, 1, "UNKNOWN_TOPIC"},
		{[]string{"produce", "nothing"}, 1, "UNKNOWN_TOPIC"},
		{[]string{"topic", "create", "no.dots"}, 1, "INVALID_TOPIC_NAME"},
		{[]string{"consume"}, 2, "--help"},
	} {
		code, output, err := deployment.ExitCode(f.Laneway(ctx, c.args...))
		if err != nil {
			t.Fatal(err)
		}
		if code != c.code || !strings.Contains(output, c.says) || !strings.Contains(output, "what to do: ") {
			t.Errorf("laneway %s exits with %d and says:\n%s", strings.Join(c.args, " "), code, output)
		}
	}
}

func TestHealthcheckAsksARunningProcess(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		f.AwaitReady(ctx) // also of the new topic's logs
		for _, role := range f.Roles() {
			if role == deployment.NATS {
				continue
			}
			for _, page := range []string{"healthz", "readyz", "metrics"} {
				f.Output(f.Laneway(ctx, "healthcheck", f.Page(role, page)), nil)
			}
		}
		if code, output, err := deployment.ExitCode(f.Laneway(ctx, "healthcheck", "http://127.0.0.1:1/readyz")); err != nil || code == 0 {
			t.Errorf("without a server: exit code %d, %v: %s", code, err, output)
		}
	})
}

func TestTheDemoSucceeds(t *testing.T) {
	d := deployment.Start(t, deployment.OneProcess, deployment.Options{}) // only for its folder: the demo runs a server of its own
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, bytes.Repeat([]byte("a line of a small file\n"), 40_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		store string // a regular expression
	}{
		"folder":    {nil, `in the folder \S+/objects`},
		"S3 server": {[]string{"--file", small, "--s3-server", machine.Binary("versitygw")}, `in the S3 server \S+/versitygw, at s3://laneway/demo\?endpoint=http://(\S+)`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, time.Minute)
			command, temporary := d.For(t).Laneway(ctx, append([]string{"demo"}, c.args...)...), t.TempDir()
			command.Env = append(command.Env, "TMPDIR="+temporary)
			output := d.For(t).Output(command, nil)
			t.Log(output)
			if !strings.Contains(output, "the same bytes came back") {
				t.Errorf("it says:\n%s", output)
			}
			store := regexp.MustCompile(`(?m)^store +` + c.store + `$`).FindStringSubmatch(output)
			if store == nil {
				t.Fatalf("it does not name its store:\n%s", output)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
			if len(store) == 1 {
				return
			}
			if conn, err := net.DialTimeout("tcp", store[1], time.Second); err == nil {
				t.Errorf("it leaves a server at %s", store[1])
				conn.Close()
			}
		})
	}
}
