package e2e

import (
	"context"
	"slices"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// sendsBothKinds are options of a deployment to which both kinds of batches are sent. Its logs have everything.
var sendsBothKinds = deployment.Options{
	Stager:     []string{"--fault", "stage.delay=uniform(0,20ms)"},
	Replicator: []string{"--snapshot-entries", "50", "--archive-bytes", "1GiB"}, // restarts begin from snapshots
}

// bothKinds are the sizes of batches that are sent in turn. Small ones are inline unless one of their
// lane waits for an upload, so several of them follow each other.
var bothKinds = slices.Concat(slices.Repeat([]int{4 << 10}, 10), slices.Repeat([]int{20 << 10}, 10))

// kinds counts the batches that were seen in a log.
type kinds struct {
	inline, uploaded int
	last             uint64 // sequence up to which entries were counted
}

func (k *kinds) add(entries []messages.LoggedEntry) {
	for i := range entries {
		if entries[i].Sequence <= k.last {
			continue
		}
		k.last = entries[i].Sequence
		for n := range entries[i].Entry.Batches {
			if entries[i].Entry.Batches[n].IsInline() {
				k.inline++
			} else {
				k.uploaded++
			}
		}
	}
}

// checkKinds fails a test unless the log has both kinds.
func (f *fixture) checkKinds(ctx context.Context, t *testing.T) {
	t.Helper()
	entries, err := history.Entries(ctx, f.conn, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	var k kinds
	k.add(entries)
	k.check(t)
}

// check fails a test that is for both kinds of batches if one of them is missing.
func (k *kinds) check(t *testing.T) {
	t.Helper()
	t.Logf("of the batches that were seen in the log, %d are inline, and %d were uploaded", k.inline, k.uploaded)
	if k.inline == 0 || k.uploaded == 0 {
		t.Error("not both kinds of batches are in the log: the test has not tested what it is for")
	}
}
