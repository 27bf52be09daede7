package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
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
	segments, err := filepath.Glob(filepath.Join(f.Objects(), "s", "*", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments are %q, %v", segments, err)
	}
	recovered, said := machine.Python(ctx, t, recoverProgram(t), segments...)
	if got := strings.Split(strings.TrimSuffix(recovered, "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("recovered are %d records, want %d\n%s", len(got), len(want), said)
	}
	if !strings.Contains(said, "topic "+f.partition.Topic+", partition 0, offsets 0 to ") {
		t.Errorf("it says of the segments:\n%s", said)
	}
}

// recoverProgram returns a file with the program of the page.
func recoverProgram(t *testing.T) string {
	t.Helper()
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "storage.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```python\n")
	program, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("docs/storage.md has no program in Python")
	}
	file := filepath.Join(t.TempDir(), "recover.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
