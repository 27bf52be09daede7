package cli

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/storeid"
	"laneway.dev/pkg/protocol"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{protocol.NewError(protocol.CodeUnknownTopic, "orders"), 1},
		{Misuse("no"), 2},
		{fmt.Errorf("sequencer: %w", ownership.ErrReplaced), 3},
		{fmt.Errorf("produce: %w", protocol.NewError(protocol.CodeInvalidEpoch, "")), 3},
		{errors.Join(&embedded.LockedError{Folder: "/data"}, errors.New("and more")), 4},
		{fmt.Errorf("cannot listen: %w", syscall.EADDRINUSE), 5},
		{fmt.Errorf("start stager: %w", &storeid.RefusedError{Reason: "no"}), 6},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestExplainsCatalogueError(t *testing.T) {
	var out strings.Builder
	explain(&out, fmt.Errorf("create: %w", protocol.NewError(protocol.CodeTopicExists, "orders")))
	want := "laneway: create: TOPIC_EXISTS: a topic of this name exists: orders\n" +
		"what to do: choose another name, or delete the topic first\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func TestExplainsNothingOnSuccess(t *testing.T) {
	var out strings.Builder
	explain(&out, nil)
	if out.Len() > 0 {
		t.Errorf("%q", &out)
	}
}

func TestAdviceForUnknownTopic(t *testing.T) {
	err := protocol.NewError(protocol.CodeUnknownTopic, "orders has the partitions 0 to 3, not 7")
	if advice := Advice(err); !strings.Contains(advice, "laneway topic info") {
		t.Errorf("advice %q", advice)
	}
	err = protocol.NewError(protocol.CodeUnknownTopic, "orders was deleted and made again")
	if advice := Advice(err); strings.Contains(advice, "topic create") {
		t.Errorf("advice %q", advice)
	}
	if advice := Advice(protocol.NewError(protocol.CodeUnknownTopic, "orders")); !strings.Contains(advice, "topic create") {
		t.Errorf("advice %q for a missing topic", advice)
	}
}
