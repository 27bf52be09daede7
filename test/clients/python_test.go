package clients

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/test/machine"
)

func testPython(t *testing.T, f *fixture) {
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(f.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "test", "clients", "python", "publish.py")
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
		if got, _ := machine.Python(f.ctx, t, program, host, port, p.subject, p.stream); got != want {
			t.Errorf("of %s the program says:\n%s\nwant:\n%s", p.stream, got, want)
		}
	}
	f.expectValues(t, "plain", "right", "id", "expected")
}
