package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

func TestUnsupportedStoreIsRefusedBeforeAnythingIsMade(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--http", "", "--data", data, "--store", "s3://bucket/prefix"},
		{"stager", "--nats", "nats://127.0.0.1:1", "--store", "s3://bucket/prefix"},
		{"frontend", "--nats", "nats://127.0.0.1:1", "--store", "file://host/relative"},
	} {
		a, _, stderr := clitest.App(t)
		if code := run(a, args); code != cli.ExitUsage || !strings.Contains(stderr.String(), "object store") {
			t.Errorf("%q: exit code %d, stderr:\n%s", args, code, stderr)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data folder was made: %v", err)
	}
}
