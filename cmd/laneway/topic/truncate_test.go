package topic

import (
	"encoding/json"
	"strings"
	"testing"

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

func TestTruncateNeedsAnOffsetOrATime(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	for _, args := range [][]string{
		{"--partition", "0"},
		{"--before", "1"},
		{"--partition", "0", "--before", "yesterday"},
		{"--partition", "0", "--before=-1"},
		{"--partition", "256", "--before", "1"},
		{"--partition=-1", "--before", "1"},
	} {
		code, _, stderr := s.Run(&grammar{}, "", append([]string{"topic", "truncate", "orders"}, args...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, "--") {
			t.Errorf("%q: exit code %d, stderr:\n%s", args, code, stderr)
		}
	}
}
