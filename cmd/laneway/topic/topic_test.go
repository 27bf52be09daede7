package topic

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/protocol"
)

// grammar is the command line of the tests.
type grammar struct {
	Topic Command `cmd:""`
}

func TestCreateSetsProducerLimits(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	var asked protocol.TopicConfig
	s.Handle(protocol.TopicAPI+"create", func(m *nats.Msg) {
		_ = json.Unmarshal(m.Data, &asked)
		data, _ := json.Marshal(protocol.TopicResponse{Topic: &protocol.Topic{TopicConfig: asked}})
		_ = m.Respond(data)
	})
	code, _, stderr := s.Run(&grammar{}, "", "topic", "create", "orders", "--producer-expiry", "90m", "--max-producers", "50")
	if code != cli.ExitDone || asked.ProducerExpiry() != 90*time.Minute || asked.MaxProducers != 50 {
		t.Errorf("exit code %d, asked with %+v, stderr:\n%s", code, asked, stderr)
	}
}

func TestInfoShowsProducerLimits(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	code, stdout, stderr := s.Run(&grammar{}, "", "topic", "info", "orders")
	if code != cli.ExitDone || !strings.Contains(stdout, "\nremembers up to 100,000 producers, each until it was idle for 24h\n") {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
}

func TestShortDurations(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"24h": 24 * time.Hour, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "20s": 20 * time.Second,
	} {
		if got := short(d); got != want {
			t.Errorf("%s is written %s", d, got)
		}
	}
}
