package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"laneway.dev/cmd/laneway/cli"
)

func TestProgressFitsTerminal(t *testing.T) {
	var out bytes.Buffer
	bar := progressLine(&out, true)
	bar.ChangeMax(70)
	bar.Describe("round 10/10, jetstream 1023 KiB messages, sync default")
	_ = bar.Set(69)
	if err := bar.RenderBlank(); err != nil {
		t.Fatal(err)
	}
	const hours = 6 // that a line with 1h23m45s is longer than one with 0s
	for line := range strings.SplitSeq(out.String(), "\r") {
		if n := utf8.RuneCountInString(line); n+hours >= 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if !strings.Contains(out.String(), "98% ") {
		t.Errorf("%q", out.String())
	}
}

func TestErrorNamesFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"produce", "--record-bytes", "128KiB"}, "--record-bytes 128 KiB is more than --batch-bytes 64 KiB"},
		{[]string{"produce", "--in-flight", "6"}, "--in-flight 6 is more than 5: a partition recognizes no more batches when they are sent again"},
		{[]string{"produce", "--max-batch-bytes", "5MiB"}, "--max-batch-bytes 5.0 MiB is more than 4.0 MiB, which is the limit"},
		{[]string{"produce", "--producers", "100", "--max-batch-bytes", "4MiB"}, "--producers 100 with --in-flight 5 of 4.0 MiB each are more than 1.0 GiB in flight, which is the limit"},
		{[]string{"produce", "--record-bytes", "5MiB"}, "--record-bytes 5.0 MiB is more than 4.0 MiB"},
		{[]string{"publish", "--record-bytes", "5MiB"}, "--record-bytes 5.0 MiB is more than 4.0 MiB"},
		{[]string{"consume", "--record-bytes", "128KiB"}, "--record-bytes 128 KiB is more than a batch"},
		{[]string{"produce", "--partitions", "1000000"}, "--partitions 1000000 is more than a topic can have"},
		{[]string{"latency", "--topics", "1000000"}, "--topics 1000000 is more than a Laneway can have"},
		{[]string{"latency", "--rate", "100001"}, "--rate is more than 100000"},
		{[]string{"consume", "--partitions", "2"}, "unknown flag --partitions"},
		{[]string{"publish", "--topics", "2"}, "unknown flag --topics"},
		{[]string{"restart", "--partitions", "4", "--producing", "5"}, "--producing 5 is more than there are partitions, which is 4"},
		{[]string{"restart", "--partitions", "100", "--producers", "100000"}, "are 10000000 producers in all, more than 1000000"},
		{[]string{"restart", "--producers", "100001"}, "--producers 100001 is more than a partition remembers"},
		{[]string{"idle", "--nats", "nats://127.0.0.1:1"}, "idle measures the processes of servers that the benchmark starts: leave --nats out"},
		{[]string{"produce", "--data", "/nonexistent"}, "--data /nonexistent: no such file or directory"},
		{[]string{"produce", "--data", file}, "--data " + file + ": not a directory"},
		{[]string{"produce", "--html", "/nonexistent/x.html"}, "--html /nonexistent/x.html: no such file or directory"},
		{[]string{"produce", "--html", filepath.Dir(file)}, "--html " + filepath.Dir(file) + ": it is a folder"},
	} {
		var out, err bytes.Buffer
		code := cli.Run(&cli.App{Ctx: t.Context(), Stdout: &out, Stderr: &err}, &struct {
			Bench Command `cmd:""`
		}{}, append([]string{"bench"}, c.args...))
		if code != 2 || !strings.Contains(err.String(), c.want) {
			t.Errorf("%v: exit code %d: %s, want %q", c.args, code, err.String(), c.want)
		}
	}
}
