package clients

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"laneway.dev/test/machine"
)

// skipC is the variable by which a machine without the C client says so, such
// as one that has no package of it. Without it a machine that lacks the client
// fails the test.
const skipC = "LANEWAY_TEST_WITHOUT_C"

// program compiles the C program once and returns its content.
var program = sync.OnceValues(func() ([]byte, error) {
	root, err := machine.Root()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "laneway-c")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "publish")
	compiler := exec.Command("cc", "-std=c11", "-Wall", "-Wextra", "-O2", "-o", binary, "publish.c", "-lnats")
	compiler.Dir = filepath.Join(root, "test", "clients", "c")
	if output, err := compiler.CombinedOutput(); err != nil {
		return nil, &compileError{err, string(output)}
	}
	return os.ReadFile(binary)
})

type compileError struct {
	cause  error
	output string
}

func (e *compileError) Unwrap() error { return e.cause }

func (e *compileError) Error() string {
	return "the C program cannot be compiled: " + e.cause.Error() + "\n" + e.output +
		"it needs a C compiler and the C client of NATS: apt-get install gcc libc6-dev libnats-dev\n" +
		"on a machine that cannot have them, say so: " + skipC + "=1"
}

func testC(t *testing.T, f *fixture) {
	if os.Getenv(skipC) != "" {
		t.Skip("NOT CHECKED: the C client. " + skipC + " is set")
	}
	const many = 5_000
	content, err := program()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "publish")
	if err := os.WriteFile(binary, content, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(p place) []string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		command := exec.CommandContext(f.ctx, binary, f.URL(), p.subject, p.stream, strconv.Itoa(many))
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			t.Fatalf("%s: %v\n%s%s", p.stream, err, stdout.String(), stderr.String())
		}
		return strings.Split(strings.TrimSpace(stdout.String()), "\n")
	}
	laneway, twin := run(f.laneway), run(f.twin(t))
	if strings.Join(laneway, "\n") != strings.Join(twin, "\n") {
		t.Errorf("of Laneway the program says:\n%s\nof JetStream:\n%s", strings.Join(laneway, "\n"), strings.Join(twin, "\n"))
	}
	want := []string{
		"plain\tOK\t0\t1\t0",
		"right stream\tOK\t0\t2\t0",
		"message id\tOK\t0\t3\t0",
		"message id again\tOK\t0\t3\t1",
		"another stream\tError\t10060\t0\t0",
		"another last sequence\tError\t10071\t0\t0",
		"last sequence\tOK\t0\t4\t0",
		"another last id\tError\t10070\t0\t0",
		"too large\tError\t10054\t0\t0",
		"unknown topic\tNo responders available for request\t10076\t0\t0",
		"async to another stream\t0 acknowledged, 3 refused, 0 out of order\t10060\t0\t0",
		"async\t5000 acknowledged, 0 refused, 0 out of order\t0\t5004\t0",
	}
	if strings.Join(laneway, "\n") != strings.Join(want, "\n") {
		t.Errorf("of Laneway the program says:\n%s\nwant:\n%s", strings.Join(laneway, "\n"), strings.Join(want, "\n"))
	}
	values := []string{"plain", "right", "id", "expected"}
	for n := range many {
		values = append(values, numbered(n))
	}
	f.expectValues(t, values...)
}
