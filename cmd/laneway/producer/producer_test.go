package producer

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
	Producer Command `cmd:""`
}

func TestListsProducers(t *testing.T) {
	s := clitest.NewLaneway(t, 2)
	s.Handle(protocol.ProducerAPI+"list", func(m *nats.Msg) {
		var r protocol.ProducerListRequest
		_ = json.Unmarshal(m.Data, &r)
		producer := protocol.ProducerInfo{Partition: r.Partition, ProducerID: 12, Name: "importer", ProducerEpoch: 3, AgeMS: 3 * time.Hour.Milliseconds()}
		if r.Partition == 1 {
			producer = protocol.ProducerInfo{Partition: 1, ProducerID: 4, LastSequence: new(int32(99)), AgeMS: 200}
		}
		data, _ := json.Marshal(protocol.ProducerListResponse{Producers: []protocol.ProducerInfo{producer}, Total: 1})
		_ = m.Respond(data)
	})
	want := "PARTITION  ID  NAME      EPOCH  LAST SEQUENCE  AGE\n" +
		"0          12  importer  3      -              3 hours ago\n" +
		"1          4   -         0      99             now\n"
	if code, stdout, stderr := s.Run(&grammar{}, "", "producer", "list", "orders"); code != cli.ExitDone || stdout != want {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
	code, stdout, _ := s.Run(&grammar{}, "", "producer", "list", "orders", "--partition", "1", "--json")
	var listed []protocol.ProducerInfo
	if err := json.Unmarshal([]byte(stdout), &listed); code != cli.ExitDone || err != nil || len(listed) != 1 || listed[0].ProducerID != 4 {
		t.Errorf("exit code %d, %v, stdout:\n%s", code, err, stdout)
	}
}

func TestQuotesNames(t *testing.T) {
	for name, want := range map[string]string{
		"a\u0301": "a\u0301", "büro-7": "büro-7", "-": `"-"`, "two words": `"two words"`, `a"b`: `"a\"b"`,
		"a\x1b[2Jb": `"a\x1b[2Jb"`, "a\tb\nc": `"a\tb\nc"`, "\u009b2J": `"\u009b2J"`, "a\u202eb": `"a\u202eb"`,
	} {
		var out strings.Builder
		err := printProducers(&out, []protocol.ProducerInfo{{ProducerID: 12, Name: name}}, false)
		if row := "0          12  " + want + "  "; err != nil || !strings.Contains(out.String(), row) || strings.Count(out.String(), "\n") != 2 {
			t.Errorf("%q is printed as\n%s", name, &out)
		}
	}
}

func TestShowsProducerByIDOrName(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	s.Handle(protocol.ProducerAPI+"info", func(m *nats.Msg) {
		var r protocol.ProducerInfoRequest
		_ = json.Unmarshal(m.Data, &r)
		var response protocol.ProducerInfoResponse
		if r.ProducerID == 12 || r.Name == "34" {
			response.Producers = []protocol.ProducerInfo{{ProducerID: 12, Name: "34", LastSequence: new(int32(1))}}
		}
		data, _ := json.Marshal(response)
		_ = m.Respond(data)
	})
	for _, producer := range []string{"12", "34"} {
		code, stdout, stderr := s.Run(&grammar{}, "", "producer", "show", "orders", producer)
		if code != cli.ExitDone || !strings.Contains(stdout, "0          12  34    0      1              now") {
			t.Errorf("%s: exit code %d, stdout:\n%s\nstderr:\n%s", producer, code, stdout, stderr)
		}
	}
	code, _, stderr := s.Run(&grammar{}, "", "producer", "show", "orders", "importer")
	if want := "laneway: no partition of orders remembers a producer \"importer\"\nwhat to do: see which there are with: laneway producer list orders\n"; code != cli.ExitFailed || stderr != want {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}
