package topic

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/protocol"
)

func TestTruncatePrintsWhereThePartitionStarts(t *testing.T) {
	s := clitest.NewLaneway(t, 2)
	asked := ""
	s.Handle(protocol.TopicAPI+"truncate", func(m *nats.Msg) {
		asked = string(m.Data)
		data, _ := json.Marshal(protocol.TopicTruncateResponse{Partition: 1, StartOffset: 70})
		_ = m.Respond(data)
	})
	for want, args := range map[string][]string{
		"partition 1 of topic orders starts at offset 70\n":   nil,
		"{\n  \"partition\": 1,\n  \"start_offset\": 70\n}\n": {"--json"},
	} {
		code, stdout, stderr := s.Run(&grammar{}, "", append([]string{"topic", "truncate", "orders", "--partition", "1", "--before", "70"}, args...)...)
		if code != cli.ExitDone || asked != `{"name":"orders","partition":1,"before":70}` || stdout != want {
			t.Errorf("exit code %d, asked %s, printed\n%s%s", code, asked, stdout, stderr)
		}
	}
}

// printed is what a command has printed. Its method wakes a test that waits for the first line.
type printed struct {
	strings.Builder
	first chan struct{}
}

func (p *printed) Write(b []byte) (int, error) {
	if p.Len() == 0 {
		defer close(p.first)
	}
	return p.Builder.Write(b)
}

func TestTruncateSaysThatAnInterruptWithdrawsNothing(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	a, _, _ := clitest.App(t)
	errs := &printed{first: make(chan struct{})}
	var interrupt context.CancelFunc
	a.Stderr = errs
	a.Ctx, interrupt = context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	s.Handle(protocol.TopicAPI+"truncate", func(*nats.Msg) {
		<-errs.first
		interrupt()
	})
	code := cli.Run(a, &grammar{}, []string{"topic", "truncate", "orders", "--partition", "0", "--before", "70", "--server", s.URL})
	if code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"waiting until the records below offset 70 are archived", "cannot be withdrawn", "context canceled", "the request stays in force"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, errs)
		}
	}
}

func TestRefusedTruncationDoesNotStay(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	s.Answer(protocol.TopicAPI+"truncate", protocol.ErrorResponse{Error: protocol.NewError(protocol.CodeInvalidRequest, "above the end")})
	code, _, stderr := s.Run(&grammar{}, "", "topic", "truncate", "orders", "--partition", "0", "--before", "70")
	if code != cli.ExitFailed || !strings.Contains(stderr, "above the end") || strings.Contains(stderr, "in force") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestTruncateNeedsAnOffsetOrATime(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	for _, args := range [][]string{
		{"--partition", "0"},
		{"--before", "1"},
		{"--partition", "0", "--before", "yesterday"},
		{"--partition", "0", "--before=-1"},
		{"--partition", "4096", "--before", "1"},
		{"--partition=-1", "--before", "1"},
	} {
		code, _, stderr := s.Run(&grammar{}, "", append([]string{"topic", "truncate", "orders"}, args...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, "--") {
			t.Errorf("%q: exit code %d, stderr:\n%s", args, code, stderr)
		}
	}
}
