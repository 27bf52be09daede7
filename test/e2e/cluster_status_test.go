package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

// member is what laneway cluster status says of an instance.
type member struct {
	Role, Instance, Version string
	Gone                    bool
	Logs                    []int
}

// members returns what laneway cluster status lists.
func (f *fixture) members(ctx context.Context, t *testing.T) (members []member) {
	t.Helper()
	members, said, err := f.statusJSON(ctx)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for _, m := range members {
		if m.Instance == "" || (m.Version == "") != m.Gone {
			t.Errorf("listed: %+v", m)
		}
	}
	return members
}

// statusJSON returns what laneway cluster status --json lists, and what it prints besides.
func (f *fixture) statusJSON(ctx context.Context) (members []member, said string, err error) {
	command := f.Laneway(ctx, "cluster", "status", "--json")
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err == nil {
		err = json.Unmarshal(output, &members)
	}
	return members, stderr.String(), err
}

// rolesListed returns the roles of the instances that are there, sorted.
func (f *fixture) rolesListed(ctx context.Context, t *testing.T) (roles []string) {
	t.Helper()
	for _, m := range f.members(ctx, t) {
		if !m.Gone {
			roles = append(roles, m.Role)
		}
	}
	return roles
}

// awaitListed returns when laneway cluster status lists these roles.
func (f *fixture) awaitListed(ctx context.Context, t *testing.T, want ...string) {
	t.Helper()
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for {
		got := f.rolesListed(ctx, t)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatalf("listed are %v, want %v", got, want)
		}
	}
}

func TestClusterStatusListsTheInstancesThatAreThere(t *testing.T) {
	t.Parallel() // it waits most of the time
	all := []string{deployment.Archiver, deployment.Frontend, deployment.Replicator, deployment.Sequencer, deployment.Stager}
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		f.AwaitReady(ctx)
		f.awaitListed(ctx, t, all...)
		f.Kill(f.Of(deployment.Stager))
		if kind == deployment.RoleProcesses {
			f.awaitListed(ctx, t, all[:4]...)
			f.Terminate(deployment.Archiver)
			if got := f.rolesListed(ctx, t); !slices.Equal(got, all[1:4]) {
				t.Errorf("after the archiver has stopped, %v are listed", got)
			}
			f.Restart(deployment.Archiver)
		}
		f.Restart(f.Of(deployment.Stager))
		f.AwaitReady(ctx)
		f.awaitListed(ctx, t, all...)
	})
}
