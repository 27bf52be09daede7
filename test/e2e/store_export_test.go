package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// TestArchivedRecordsAreExportedWithoutNATS removes all data of NATS, and compares what store export
// prints with what was consumed before.
func TestArchivedRecordsAreExportedWithoutNATS(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, sweeping(time.Second))
	lines := map[string]string{"packed": f.archiveLines(ctx, t, "packed", protocol.CompressionZstd, 1), "plain": f.archiveLines(ctx, t, "plain", "", 0)}
	objects := make(map[string]string)
	for topic := range lines {
		objects[topic] = f.Output(f.Laneway(ctx, "consume", topic, "--json"), nil)
	}
	f.Terminate(deployment.Serve)
	if err := os.RemoveAll(filepath.Join(f.Data, "nats")); err != nil {
		t.Fatal(err)
	}
	for topic, want := range lines {
		if got := f.Output(f.Laneway(ctx, "store", "export", f.Store, "--topic", topic), nil); got != want {
			t.Errorf("exported of %s are %d bytes, want %d", topic, len(got), len(want))
		}
		if got := f.Output(f.Laneway(ctx, "store", "export", f.Store, "--topic", topic, "--json"), nil); got != objects[topic] {
			t.Errorf("exported of %s as JSON are %d bytes, consumed were %d", topic, len(got), len(objects[topic]))
		}
	}
	if got := f.Output(f.Laneway(ctx, "store", "export", f.Store, "--json"), nil); got != objects["packed"]+objects["plain"] {
		t.Errorf("exported of all topics are %d bytes", len(got))
	}
	if code, said, err := deployment.ExitCode(f.Laneway(ctx, "store", "export", f.Store)); err != nil || code != 2 || !strings.Contains(said, "packed (id ") {
		t.Errorf("without a topic, the exit code is %d (%v):\n%s", code, err, said)
	}

	// A damaged frame of the plain topic costs its batch, and nothing else.
	files, err := filepath.Glob(filepath.Join(f.Objects(), string(objectstore.KindSegment), "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(content), "plain record 100,"); at >= 0 {
			flip(t, file, content, int64(at))
		}
	}
	code, said, err := deployment.ExitCode(f.Laneway(ctx, "store", "export", f.Store, "--topic", "plain"))
	if err != nil || code != 1 {
		t.Fatalf("with a damaged batch, the exit code is %d (%v):\n%s", code, err, said)
	}
	gap := regexp.MustCompile(`plain/0: records cannot be read at (?:the offsets (\d+) to|offset) (\d+);`).FindStringSubmatch(said)
	if gap == nil {
		t.Fatalf("it names no offsets:\n%.2000s", said)
	}
	from, to := offset(t, cmp.Or(gap[1], gap[2])), offset(t, gap[2])
	if exported := strings.Count(said, "plain record "); from > 100 || to < 100 || to-from >= 30 || exported != 300-(to-from+1) {
		t.Errorf("named are offsets %d to %d, exported are %d records", from, to, exported)
	}
}
