package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnsupportedStoreIsRefusedBeforeAnythingIsMade(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--http", "", "--data", data, "--store", "s3://bucket/prefix"},
		{"stager", "--nats", "nats://127.0.0.1:1", "--store", "s3://bucket/prefix"},
		{"frontend", "--nats", "nats://127.0.0.1:1", "--store", "file://host/relative"},
	} {
		a, _, stderr := testApp(t)
		if code := run(a, args); code != exitUsage || !strings.Contains(stderr.String(), "object store") {
			t.Errorf("%q: exit code %d, stderr:\n%s", args, code, stderr)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data folder was made: %v", err)
	}
}
