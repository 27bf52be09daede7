package clients

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

func testNATSPub(t *testing.T, f *fixture) {
	says := func(want string, args ...string) {
		t.Helper()
		code, output, err := deployment.ExitCode(f.NATSCommand(f.ctx, append([]string{"pub"}, args...)...))
		if err != nil {
			t.Fatal(err)
		}
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("nats pub %q exits with %d and says, without %q:\n%s", args, code, want, output)
		}
	}
	stored := "Stored in Stream: " + f.laneway.stream + " Sequence: "
	says(stored+"1", "-J", f.laneway.subject, "hello")
	says(stored+"2", "--jetstream", "-H", "Color:red", f.laneway.subject, "with a header")
	says(stored+"5", "-J", "--count", "3", f.laneway.subject, "{{Count}}")
	says(stored+"6", "-J", "-H", "Nats-Msg-Id:id", f.laneway.subject, "once")
	says(stored+"6 Duplicate: true", "-J", "-H", "Nats-Msg-Id:id", f.laneway.subject, "twice")
	f.expectValues(t, "hello", "with a header", "1", "2", "3", "once")
	if color := f.records(t)[1].Header.Get("Color"); color != "red" {
		t.Errorf("the header came back as %q", color)
	}
	for _, c := range []struct{ args, says string }{
		{"-J -H Nats-TTL:1h " + f.laneway.subject + " x", "Nats-TTL"},
		{"-J -H Nats-Expected-Stream:OTHER " + f.laneway.subject + " x", "(10060)"},
		{"--schedule-after 1h --schedule-dest a.b " + f.laneway.subject + " x", "Nats-Schedule"},
		{"-J laneway.produce.nothing.0 x", "no responders"},
	} {
		code, output, err := deployment.ExitCode(f.NATSCommand(f.ctx, append([]string{"pub"}, strings.Fields(c.args)...)...))
		if err != nil {
			t.Fatal(err)
		}
		if code == 0 || !strings.Contains(output, c.says) {
			t.Errorf("nats pub %s exits with %d and says, without %q:\n%s", c.args, code, c.says, output)
		}
	}
	says("Published", f.laneway.subject, "without an answer")
	f.await(t, 7)
}

func testNATSRequest(t *testing.T, f *fixture) {
	answer := f.Output(f.NATSCommand(f.ctx, "request", "--raw", f.laneway.subject, "hello"), nil)
	var ack protocol.ProduceAck
	if err := json.Unmarshal([]byte(answer), &ack); err != nil || ack.Stream != f.laneway.stream || ack.Sequence != 1 {
		t.Errorf("%v: %s", err, answer)
	}
	f.expectValues(t, "hello")
}

// benchPub returns a run of nats bench that publishes to the topic. It looks up a stream
// first, so it gets the one of the log.
func (f *fixture) benchPub(how string, args ...string) *exec.Cmd {
	args = append([]string{"bench", "js", "pub", how, "--stream", messages.JournalStream(f.partition.Log), "--no-progress"}, args...)
	return f.NATSCommand(f.ctx, append(args, f.laneway.subject)...)
}

func testNATSBench(t *testing.T, f *fixture) {
	f.Output(f.benchPub("async", "--msgs", "5000", "--clients", "2", "--size", "128"), nil)
	if n := len(f.records(t)); n != 5_000 {
		t.Errorf("the topic has %d records", n)
	}
	f.Output(f.benchPub("sync", "--msgs", "50", "--size", "1024", "--dedup"), nil)
	if n := len(f.records(t)); n != 5_050 {
		t.Errorf("the topic has %d records", n)
	}
	code, output, err := deployment.ExitCode(f.benchPub("atomic", "--msgs", "100"))
	if err != nil {
		t.Fatal(err)
	}
	if code == 0 || !strings.Contains(output, "Nats-Batch-Id") {
		t.Errorf("nats bench js pub atomic exits with %d and says:\n%s", code, output)
	}
	if n := len(f.records(t)); n != 5_050 {
		t.Errorf("the topic has %d records: something of a refused batch is there", n)
	}
}
