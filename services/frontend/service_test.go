package frontend

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core"
)

func TestADeadlineBeyondWhatReplicatorsRememberIsRefused(t *testing.T) {
	_, err := Start(t.Context(), Config{Times: core.Times{Deadline: messages.MaxDeadline + time.Second}})
	if err == nil || !strings.Contains(err.Error(), "1m0s") {
		t.Fatalf("error %v, want one that names the longest deadline", err)
	}
}
