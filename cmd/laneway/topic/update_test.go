package topic

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/protocol"
)

// answerUpdates applies updates to a topic that never changes, and keeps the last request.
func answerUpdates(t *testing.T, s *clitest.Laneway) *string {
	t.Helper()
	config, err := protocol.TopicConfig{Name: "orders", Subjects: []string{"orders.>"}}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	asked := new(string)
	s.Handle(protocol.TopicAPI+"update", func(m *nats.Msg) {
		*asked = string(m.Data)
		var update protocol.TopicUpdate
		_ = json.Unmarshal(m.Data, &update)
		after, _ := update.ApplyTo(config)
		data, _ := json.Marshal(protocol.TopicResponse{Topic: &protocol.Topic{TopicConfig: after, Revision: 1}, Previous: &protocol.Topic{TopicConfig: config}})
		_ = m.Respond(data)
	})
	return asked
}

// configured is a command line with a configuration file.
type configured struct {
	grammar
	Config kong.ConfigFlag
}

func TestUpdateRequestsAndShowsWhatIsGiven(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	asked := answerUpdates(t, s)
	file := filepath.Join(t.TempDir(), "laneway.json")
	// The partitions are for other commands.
	if err := os.WriteFile(file, []byte(`{"partitions":4,"subjects":["a","b"],"max_producers":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args          []string
		asked, stdout string
	}{
		{
			[]string{"--max-record-bytes", "1MiB", "--producer-expiry", "90m"},
			`{"name":"orders","max_record_bytes":1048576,"producer_expiry_ms":5400000}`,
			"updated topic orders:\n  max-record-bytes: 1,048,576, before: 2,097,152\n  producer-expiry: 1h30m, before: 24h\n",
		},
		{
			[]string{"--compression", "zstd", "--max-producers", "50"},
			`{"name":"orders","max_producers":50,"compression":"zstd"}`,
			"updated topic orders:\n  compression: zstd, before: none\n  max-producers: 50, before: 100,000\n",
		},
		{
			[]string{"--retention-age", "7d", "--retention-bytes", "1MiB"},
			`{"name":"orders","retention_age_ms":604800000,"retention_bytes":1048576}`,
			"updated topic orders:\n  retention-age: 7d, before: 0\n  retention-bytes: 1,048,576, before: 0\n",
		},
		{
			[]string{"--retention-age", "0", "--retention-bytes", "0"},
			`{"name":"orders","retention_age_ms":0,"retention_bytes":0}`, "topic orders is unchanged: it has these values already\n",
		},
		{[]string{"--subjects", ""}, `{"name":"orders","subjects":[]}`, "updated topic orders:\n  subjects: none, before: orders.>\n"},
		{[]string{"--subjects="}, `{"name":"orders","subjects":[]}`, "updated topic orders:\n  subjects: none, before: orders.>\n"},
		{
			[]string{"--subjects", "a,b.*", "--subjects", "c"},
			`{"name":"orders","subjects":["a","b.*","c"]}`, "updated topic orders:\n  subjects: a b.* c, before: orders.>\n",
		},
		{
			[]string{"--subjects", "orders.>", "--max-producers", "100000"},
			`{"name":"orders","max_producers":100000,"subjects":["orders.\u003e"]}`, "topic orders is unchanged: it has these values already\n",
		},
		{
			[]string{"--config", file, "--compression", "s2", "--max-producers", "8"},
			`{"name":"orders","max_producers":8,"compression":"s2","subjects":["a","b"]}`,
			"updated topic orders:\n  subjects: a b, before: orders.>\n  compression: s2, before: none\n  max-producers: 8, before: 100,000\n",
		},
	} {
		code, stdout, stderr := s.Run(&configured{}, "", append([]string{"topic", "update", "orders"}, c.args...)...)
		if code != cli.ExitDone || *asked != c.asked || stdout != c.stdout {
			t.Errorf("%q: exit code %d, asked %s, printed\n%s%s", c.args, code, *asked, stdout, stderr)
		}
	}
}

func TestUpdatePrintsJSON(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	answerUpdates(t, s)
	code, stdout, stderr := s.Run(&grammar{}, "", "topic", "update", "orders", "--subjects", "new", "--json")
	var got protocol.TopicResponse
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != cli.ExitDone {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	if !cmp.Equal(got.Topic.Subjects, []string{"new"}) || !cmp.Equal(got.Previous.Subjects, []string{"orders.>"}) || got.Topic.Revision != 1 {
		t.Errorf("printed\n%s", stdout)
	}
}

func TestUpdateOfNothingIsRejected(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	asked := answerUpdates(t, s)
	code, _, stderr := s.Run(&grammar{}, "", "topic", "update", "orders")
	if code != cli.ExitUsage || *asked != "" || !strings.Contains(stderr, "at least one of the options") {
		t.Errorf("exit code %d, asked %s, stderr:\n%s", code, *asked, stderr)
	}
}
