package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// TestARoleThatDoesNotAnswerIsNamed stops one role of a deployment and asks for it
// wherever an operator may look.
func TestARoleThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel() // it waits most of the time
	stops := map[string]struct {
		stop, start func(f *fixture, role string)
		reason      string
	}{
		"stopped": {
			func(f *fixture, role string) { f.Terminate(role) },
			func(f *fixture, role string) { f.Restart(role) },
			"none is connected to NATS",
		},
		"frozen": {
			func(f *fixture, role string) { f.Pause(role) },
			func(f *fixture, role string) { f.Resume(role) },
			"takes no messages",
		},
	}
	for _, c := range []struct{ role, how string }{
		{deployment.Stager, "stopped"}, {deployment.Sequencer, "stopped"}, {deployment.Replicator, "stopped"}, {deployment.Stager, "frozen"},
	} {
		t.Run(c.role+" "+c.how, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			f := start(t, deployment.RoleProcesses, deployment.Options{Frontend: []string{"--deadline", "4s"}})
			silent := "no " + c.role + " has answered since "
			f.expectRole(ctx, t, c.role, 0)

			stops[c.how].stop(f, c.role)
			ack := f.request(ctx, t, record("one"))
			if ack.Error == nil || ack.Error.Code != protocol.CodeOutcomeUnknown || !strings.Contains(ack.Error.Detail, silent) {
				t.Errorf("a request is answered with %+v, want an unknown outcome that names the %s", ack, c.role)
			}
			f.awaitPage(ctx, t, deployment.Frontend, "readyz", silent, stops[c.how].reason)
			f.expectRole(ctx, t, c.role, 1)
			if n := strings.Count(f.Log(deployment.Frontend), silent); n != 1 {
				t.Errorf("%d lines of the log name the %s, want one", n, c.role)
			}
			// Once nothing has been committed for a deadline, nothing more has to wait.
			ack = f.request(ctx, t, record("two"))
			if ack.Error == nil || ack.Error.Code != protocol.CodeUnavailable || !strings.Contains(ack.Error.Detail, silent) {
				t.Errorf("a later request is answered with %+v, want a refusal that names the %s", ack, c.role)
			}

			stops[c.how].start(f, c.role)
			f.AwaitReady(ctx)
			f.expectRole(ctx, t, c.role, 0)
			f.probe(ctx, t, "after")
			if !strings.Contains(f.Log(deployment.Frontend), "answers again") {
				t.Error("the log does not say that it answers again")
			}
		})
	}
}

// expectRole compares the metric of each role: only that of one may be 1.
func (f *fixture) expectRole(ctx context.Context, t *testing.T, role string, want float64) {
	t.Helper()
	for _, other := range []string{deployment.Stager, deployment.Sequencer, deployment.Replicator} {
		expected := 0.0
		if other == role {
			expected = want
		}
		got, err := f.Sample(ctx, deployment.Frontend, "laneway_frontend_role_unanswered{", fmt.Sprintf("role=%q", other))
		if err != nil || got != expected {
			t.Errorf("laneway_frontend_role_unanswered of the %s is %v, %v, want %v", other, got, err, expected)
		}
	}
}
