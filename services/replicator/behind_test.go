package replicator_test

import (
	"errors"
	"strings"
	"testing"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator"
)

// behind notes that the log of the partition is behind, as archivers do.
func (r *rig) behind(reason string) {
	r.t.Helper()
	_, err := kvbucket.OpenBucket(r.ctx, r.js, sweepstate.Bucket, "")
	must(r.t, err)
	b := sweepstate.NewBehind("")
	b.Add(r.id, reason)
	must(r.t, sweepstate.NoteBehind(r.ctx, r.js, b))
}

// awaitReadOnly waits until the partition is read-only, and frontends know why.
func (r *rig) awaitReadOnly(s *replicator.Service, why string) {
	r.t.Helper()
	says := func(text string) bool {
		return strings.Contains(text, "its log "+messages.LogName(r.id)+" is older than the object store ("+why+")")
	}
	r.await("read-only", func() bool {
		err := s.Check(r.ctx)
		return errors.Is(err, protocol.NewError(protocol.CodePartitionDamaged, "")) && says(err.Error()) && s.Stats().Damaged == 1
	})
	for {
		select {
		case m := <-r.outcomes:
			if damage, ok := m.(messages.ReadOnly); ok && says(damage.Damage) {
				return
			}
		case <-r.ctx.Done():
			r.t.Fatal("frontends do not know why the partition is read-only")
		}
	}
}

func TestALogThatIsBehindTakesBatchesAgainWhenThatHasEnded(t *testing.T) {
	r := newRig(t)
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	r.commit(1)
	r.behind("entry 5 is missing")
	r.awaitReadOnly(s, "entry 5 is missing")
	must(t, sweepstate.NoteBehind(r.ctx, r.js, nil))
	r.awaitReady(s)
	r.commit(2)
}

func TestALogThatIsBehindIsNotClaimed(t *testing.T) {
	r := newRig(t)
	r.behind("entry 5 is missing")
	s := r.start()
	r.awaitReadOnly(s, "entry 5 is missing")
	if got := s.Stats(); got.Terms > 0 {
		t.Errorf("claimed: %+v", got)
	}
	r.stop(s)
}

func TestALogThatIsBehindTakesBatchesAgainWhenItIsContinued(t *testing.T) {
	r := newRig(t)
	r.behind("entry 5 is missing")
	s := r.start()
	defer r.stop(s)
	r.awaitReadOnly(s, "entry 5 is missing")
	r.continueLog()
	r.awaitReady(s)
	r.await("nothing is damaged", func() bool { return s.Stats().Damaged == 0 })
}
