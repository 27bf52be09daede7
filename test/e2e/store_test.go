package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"laneway.dev/internal/health"
	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

// exitStore is the exit code of a process whose object store is not that of its Laneway.
const exitStore = 6

// mustEnd runs laneway, which must refuse the store that it is given and say all of these words.
func mustEnd(ctx context.Context, t *testing.T, args []string, words ...string) {
	t.Helper()
	p := deployment.StartAlone(t, filepath.Join(t.TempDir(), "log"), args...)
	code, err := p.Wait(ctx)
	log := p.Log(t)
	if err != nil || code != exitStore {
		t.Errorf("%q: exit code %d (%v), want %d:\n%s", args, code, err, exitStore, log)
	}
	if strings.Contains(log, `"msg":"ready"`) {
		t.Errorf("%q says that it is ready", args)
	}
	for _, word := range append(words, "what to do: ") {
		if !strings.Contains(log, word) {
			t.Errorf("%q does not say %q:\n%s", args, word, log)
		}
	}
}

// readers returns the commands that compare logs with a store.
func (f *fixture) readers(store string) [][]string {
	return [][]string{
		{"store", "verify", store, "--nats", f.URL()},
		{"store", "usage", store, "--nats", f.URL()},
		{"topic", "repair", "orders", "--store", store, "--server", f.URL()},
	}
}

func TestRoleWithAnotherStoreDoesNotStart(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	empty, foreign := f.StoreBeside("empty"), f.StoreBeside("foreign")
	other := deployment.Start(t, deployment.OneProcess, deployment.Options{Store: foreign})
	for _, role := range []string{deployment.Stager, deployment.Archiver, deployment.Frontend} {
		mustEnd(ctx, t, []string{role, "--nats", f.URL(), "--store", empty}, empty, f.Store, "no marker")
		mustEnd(ctx, t, []string{role, "--nats", f.URL(), "--store", foreign}, foreign, f.Store, "belongs to another Laneway")
		mustEnd(ctx, t, []string{role, "--nats", f.URL(), "--store", foreign, "--adopt-store"}, foreign, "belongs to another Laneway")
	}
	for _, args := range f.readers(foreign) {
		mustEnd(ctx, t, args, foreign, f.Store, "belongs to another Laneway")
	}
	if report := f.repair(ctx, t, "orders", "--store", f.Store); strings.Contains(report, "! the object store") {
		t.Errorf("topic repair complains about the store of the services:\n%s", report)
	}
	if _, err := f.conn.RequestWithContext(ctx, f.partition.ProduceSubject(), []byte("a record")); err != nil {
		t.Error(err)
	}
	for _, d := range []*deployment.Deployment{f.Deployment, other} {
		for _, role := range d.Roles() {
			if err := d.Ready(ctx, role); err != nil {
				t.Errorf("%s: %v", role, err)
			}
		}
	}
}

func TestStoreIsTakenOverOnlyWhenToldSo(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	address, page := machine.Address(t), machine.Address(t)
	serve := func(data string) []string {
		return []string{"serve", "--listen", address, "--http", page, "--data", data, "--store", f.Store}
	}
	// A second Laneway on the same folder.
	mustEnd(ctx, t, serve(filepath.Join(t.TempDir(), "second")), f.Store, "belongs to another Laneway")
	// The first one, whose NATS has lost everything.
	f.Terminate(deployment.Serve)
	if err := os.RemoveAll(filepath.Join(f.Data, "nats")); err != nil {
		t.Fatal(err)
	}
	mustEnd(ctx, t, serve(f.Data), f.Store, "--adopt-store")
	for _, args := range [][]string{append(serve(f.Data), "--adopt-store"), serve(f.Data)} {
		p := deployment.StartAlone(t, filepath.Join(t.TempDir(), "log"), args...)
		err := deployment.Eventually(ctx, func(ctx context.Context) error {
			select {
			case <-p.Ended():
				return errors.New("it has ended")
			default:
				return health.Healthcheck(ctx, "http://"+page+"/readyz")
			}
		})
		if err != nil {
			t.Fatalf("%q is not ready: %v\n%s", args, err, p.Log(t))
		}
		p.Signal(t, syscall.SIGTERM)
		if code, err := p.Wait(ctx); err != nil || code != 0 {
			t.Errorf("%q ends with code %d (%v)", args, code, err)
		}
	}
}
