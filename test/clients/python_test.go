package clients

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/test/machine"
)

// skipPython is the variable by which a machine without Python says so. Without it
// a machine that lacks Python fails the test.
const skipPython = "LANEWAY_TEST_WITHOUT_PYTHON"

func testPython(t *testing.T, f *fixture) {
	if os.Getenv(skipPython) != "" {
		t.Skip("NOT CHECKED: Python. " + skipPython + " is set")
	}
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(f.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(p place) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		program := filepath.Join(root, "test", "clients", "python", "publish.py")
		command := exec.CommandContext(f.ctx, "python3", program, host, port, p.subject, p.stream)
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			t.Fatalf("%s: %v\n%s%s\nit needs Python 3.10: apt-get install python3\non a machine that cannot have it, say so: %s=1",
				p.stream, err, stdout.String(), stderr.String(), skipPython)
		}
		return stdout.String()
	}
	want := strings.Join([]string{
		"plain\tack\t0\t1\tFalse",
		"right stream\tack\t0\t2\tFalse",
		"message id\tack\t0\t3\tFalse",
		"message id again\tack\t0\t3\tTrue",
		"another stream\tBadRequest\t10060\t0\tFalse",
		"another last sequence\tBadRequest\t10071\t0\tFalse",
		"last sequence\tack\t0\t4\tFalse",
		"another last id\tBadRequest\t10070\t0\tFalse",
		"too large\tBadRequest\t10054\t0\tFalse",
		"unknown topic\tNoResponders\t0\t0\tFalse",
	}, "\n") + "\n"
	for _, p := range []place{f.laneway, f.twin(t)} {
		if got := run(p); got != want {
			t.Errorf("of %s the program says:\n%s\nwant:\n%s", p.stream, got, want)
		}
	}
	f.expectValues(t, "plain", "right", "id", "expected")
}
