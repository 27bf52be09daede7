package deployment

import (
	"context"
	"os"
	"syscall"
	"testing"

	"laneway.dev/test/machine"
)

// Alone is a run of the binary that is shipped, of which nothing is expected: it may
// fail to start.
type Alone struct {
	process *process
	log     string
}

// StartAlone starts laneway with its output appended to a file. It is killed when
// the test ends.
func StartAlone(t testing.TB, log string, args ...string) *Alone {
	t.Helper()
	p, err := startProcess(machine.Binary("laneway"), args, environment("LANEWAY_", "NATS_", "OTEL_"), log)
	if err != nil {
		t.Fatal(err)
	}
	a := &Alone{p, log}
	t.Cleanup(func() {
		if !p.ended() {
			a.Signal(t, syscall.SIGKILL)
			<-p.done
		}
	})
	return a
}

// Signal sends a signal.
func (a *Alone) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := a.process.signal(s); err != nil {
		t.Error(err)
	}
}

// Ended is closed when the process has ended.
func (a *Alone) Ended() <-chan struct{} { return a.process.done }

// Wait returns the exit code of the process once it has ended; -1 if a signal ended it.
func (a *Alone) Wait(ctx context.Context) (int, error) { return a.process.wait(ctx) }

// Log returns what the process has printed.
func (a *Alone) Log(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
