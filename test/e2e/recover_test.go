package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

// TestArchivedRecordsAreRecoveredByHand runs the program of docs/storage.md.
func TestArchivedRecordsAreRecoveredByHand(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", "500ms"}})
	p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{BatchRecords: 30})
	var want []string
	for part := range 3 { // the small segments are merged into the next ones
		for n := range 100 {
			value := fmt.Sprintf("record %d of part %d, %s", n, part, strings.Repeat("-é", part*200))
			if _, err := p.Publish(ctx, client.ProducerRecord{Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			want = append(want, value)
		}
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		f.awaitArchived(ctx, t, f.partition)
	}
	recovered, said := f.recoverByHand(ctx, t, documentedBlock(t, "storage.md", "sh"))
	if got := strings.Split(strings.TrimSuffix(recovered, "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("recovered are %d records, want %d\n%s", len(got), len(want), said)
	}
	if !strings.Contains(said, fmt.Sprintf("topic %s with id %d, partition 0, offsets 0 to ", f.partition.Topic, f.partition.TopicID)) {
		t.Errorf("it says of the segments:\n%s", said)
	}
}

// TestRecoveryByHandNamesWhatIsCompressed runs the program of docs/storage.md on a store with several
// topics, one of which has a codec.
func TestRecoveryByHandNamesWhatIsCompressed(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, sweeping(time.Second))
	f.archiveLines(ctx, t, "packed", protocol.CompressionZstd, 0)
	plain := f.archiveLines(ctx, t, "plain", "", 0)
	const command = "python3 recover.py %s 0 objects/s/*/*"
	if got, said := f.recoverByHand(ctx, t, fmt.Sprintf(command, "plain")); got != plain {
		t.Errorf("recovered are %d bytes, want %d\n%s", len(got), len(plain), said)
	}
	got, said := f.recoverByHand(ctx, t, fmt.Sprintf(command, "packed"))
	named := 0 // how the records are divided into batches depends on time
	for _, match := range regexp.MustCompile(`(?m)^offsets (\d+) to (\d+): they are in a compressed block$`).FindAllStringSubmatch(said, -1) {
		from, to := offset(t, match[1]), offset(t, match[2])
		if from != named {
			t.Errorf("offset %d is named after %d", from, named-1)
		}
		named = to + 1
	}
	if got != "" || named != 300 {
		t.Errorf("of a topic with a codec, %q is recovered, and it names %d records:\n%s", got, named, said)
	}
}

func offset(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// archiveLines creates a topic, archives 300 lines of a partition in batches of 30, and returns them.
func (f *fixture) archiveLines(ctx context.Context, t *testing.T, name string, codec protocol.Compression, number int32) (lines string) {
	t.Helper()
	c := f.client(t, f.URL())
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: name, Partitions: int(number) + 1, Compression: codec})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Producer(ctx, name, client.ProducerOptions{Partition: &number, BatchRecords: 30})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		line := fmt.Sprintf("%s record %d, %s", name, n, strings.Repeat("-é", 200))
		if _, err := p.Publish(ctx, client.ProducerRecord{Value: []byte(line)}); err != nil {
			t.Fatal(err)
		}
		lines += line + "\n"
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	f.awaitArchived(ctx, t, topic.Partition(int(number)))
	return lines
}

// recoverByHand runs a command with the program of docs/storage.md beside the folder objects.
func (f *fixture) recoverByHand(ctx context.Context, t *testing.T, command string) (recovered, said string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "recover.py"), []byte(documentedBlock(t, "storage.md", "python")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.Objects(), filepath.Join(folder, "objects")); err != nil {
		t.Fatal(err)
	}
	return machine.PythonCommand(ctx, t, folder, command)
}
