package machine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
)

// withoutPython is the variable by which a machine without Python says so. Without it a machine that
// lacks Python fails the test.
const withoutPython = "LANEWAY_TEST_WITHOUT_PYTHON"

// Python runs a program, and returns what it has written. It skips the test on a machine without Python.
func Python(ctx context.Context, t testing.TB, program string, args ...string) (stdout, stderr string) {
	t.Helper()
	return run(t, exec.CommandContext(ctx, "python3", append([]string{program}, args...)...))
}

// PythonCommand runs a shell command that starts Python in a folder. Otherwise it is like Python.
func PythonCommand(ctx context.Context, t testing.TB, folder, command string) (stdout, stderr string) {
	t.Helper()
	shell := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	shell.Dir = folder
	return run(t, shell)
}

func run(t testing.TB, command *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	if os.Getenv(withoutPython) != "" {
		t.Skip("NOT CHECKED: Python. " + withoutPython + " is set")
	}
	var out, failed bytes.Buffer
	command.Stdout, command.Stderr = &out, &failed
	if err := command.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s\nit needs Python 3.10: apt-get install python3\non a machine that cannot have it, say so: %s=1",
			command.Args, err, out.String(), failed.String(), withoutPython)
	}
	return out.String(), failed.String()
}
