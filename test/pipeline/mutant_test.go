package pipeline

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

// TestOrderIsLostIfTheTicketIsTakenAfterStaging runs the regression against a
// stager that hands tickets to whichever upload ends first. If it passes
// there, it tests nothing.
func TestOrderIsLostIfTheTicketIsTakenAfterStaging(t *testing.T) {
	const regression = "TestNewProducerKeepsOrderWhenSecondIsStagedFirst"
	overlay := deployment.Overlay(t, "ticket_after_staging")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-overlay", overlay, "-run", "^"+regression+"$", ".").CombinedOutput()
	if err == nil {
		t.Fatalf("the regression passes against the wrong code:\n%s", output)
	}
	for _, want := range []string{"--- FAIL: " + regression, `the log has ["B2" "B1"], want ["B1" "B2"]`} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the output does not have %q:\n%s", want, output)
		}
	}
}
