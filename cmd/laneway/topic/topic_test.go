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

func TestListShowsRetention(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	at := time.Unix(1764374401, 0).UTC()
	topic := func(name string, age time.Duration, bytes int64) protocol.Topic {
		return protocol.Topic{Created: at, TopicConfig: protocol.TopicConfig{
			Name: name, Partitions: 1, MaxRecordBytes: 2 << 20, RetentionAgeMS: age.Milliseconds(), RetentionBytes: bytes, Subjects: []string{name + ".>"},
		}}
	}
	s.Answer(protocol.TopicAPI+"list", protocol.TopicListResponse{Topics: []protocol.Topic{
		topic("a", 0, 0), topic("b", time.Hour, 0), topic("c", 7*24*time.Hour, 100<<30),
	}})
	want := `
NAME  PARTITIONS  MAX RECORD  CREATED               RETENTION                      SUBJECTS
a     1           2.0 MiB     2025-11-29T00:00:01Z  forever                        a.>
b     1           2.0 MiB     2025-11-29T00:00:01Z  1h                             b.>
c     1           2.0 MiB     2025-11-29T00:00:01Z  7d, 100 GiB of each partition  c.>
`
	if code, stdout, stderr := s.Run(&grammar{}, "", "topic", "list"); code != cli.ExitDone || "\n"+stdout != want {
		t.Errorf("exit code %d, got\n%s%s\nwant%s", code, stdout, stderr, want)
	}
}

func TestInfoShowsProducerLimitsAndLogs(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	code, stdout, stderr := s.Run(&grammar{}, "", "topic", "info", "orders")
	if code != cli.ExitDone || !strings.Contains(stdout, "\nremembers up to 100,000 producers, each until it was idle for 24h\nthis Laneway has 4 logs, which its topics share\n") {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
}

func TestInfoShowsWhatIsArchived(t *testing.T) {
	partitions := []protocol.PartitionInfo{
		{EndOffset: 7, LogStream: "L-0", Entries: 4, LogBytes: 2 << 10, OldestTime: new(time.Unix(1764374401, 5).UTC())},
		{Partition: 1, StartOffset: 5, EndOffset: 1000, ArchivedOffset: 900, Segments: 3, SegmentBytes: 3 << 20, LogStream: "L-1", Entries: 9},
		{Partition: 2, EndOffset: 1000, ArchivedOffset: 900, LogStream: "L-2", Entries: 9},
		{Partition: 3, StartOffset: 8, EndOffset: 8, ArchivedOffset: 8, LogStream: "L-3", Entries: 1},
	}
	want := `
PARTITION  START  END   ARCHIVED  SEGMENTS    OLDEST                LOG STREAM  LOG ENTRIES
0          0      7     0         -           2025-11-29T00:00:01Z  L-0         4, 2.0 KiB
1          5      1000  900       3, 3.0 MiB  ?                     L-1         9, 0 B
2          0      1000  900       ?           ?                     L-2         9, 0 B
3          8      8     8         -           -                     L-3         1, 0 B
`
	var out strings.Builder
	if err := sayPartitions(&out, partitions); err != nil || "\n"+out.String() != want {
		t.Errorf("%v, got\n%s\nwant%s", err, out.String(), want)
	}
}

func TestShortDurations(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"24h": 24 * time.Hour, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "20s": 20 * time.Second,
	} {
		if got := cli.Short(d); got != want {
			t.Errorf("%s is written %s", d, got)
		}
	}
}
