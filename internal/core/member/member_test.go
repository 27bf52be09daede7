package member_test

import (
	"flag"
	"maps"
	"reflect"
	"testing"
	"time"

	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
)

var seeds = flag.Uint64("seeds", 150, "how many histories of members are tried")

func TestMembersComeToAnAssignmentWhateverGoesWrong(t *testing.T) {
	for seed := range *seeds {
		w := newWorld(t, seed)
		w.run(time.Minute)
		w.calm()
	}
}

// The bucket may be lost, made again, or restored from a copy. Two owners may then believe to be the only one
// for a time, which the logs settle.
func TestMembersComeToAnAssignmentAfterTheBucketWasLostOrRestored(t *testing.T) {
	for seed := range *seeds / 3 {
		w := newWorld(t, 1e6+seed)
		w.run(w.upTo(20 * time.Second))
		record, revision, keys := w.record, w.revision, maps.Clone(w.keys)
		w.run(w.upTo(20 * time.Second))
		w.remade = true
		switch w.r.IntN(3) {
		case 0:
			w.record, w.revision, w.revisions = assignment.Record{}, 0, 0
			clear(w.keys)
		case 1:
			w.record, w.revision = record, revision
			w.keys = keys
		case 2:
			w.record, w.revision = record, revision
			clear(w.keys)
		}
		w.run(w.upTo(10 * time.Second))
		w.calm()
	}
}

// Whoever knows a later record than the one that was restored puts it back, so that no epoch is given twice.
func TestARestoredRecordIsReplacedByWhoKnowsBetter(t *testing.T) {
	for seed := range *seeds / 3 {
		w := newWorld(t, 2e6+seed)
		w.run(w.upTo(20 * time.Second))
		record, revision := w.record, w.revision
		w.run(w.upTo(20 * time.Second))
		w.quiet = true
		w.run(16 * time.Second)
		if len(w.alive()) == 0 {
			continue
		}
		w.record, w.revision, w.restored = record, revision, true
		w.start() // it knows nothing better
		w.calm()
	}
}

// settled returns a world in which nothing goes wrong, with members that have shared some logs.
func settled(t *testing.T, members int) *world {
	w := newWorld(t, 0)
	w.quiet, w.logs = true, 9
	for range members {
		w.start()
	}
	w.run(30 * time.Second)
	return w
}

// The members take turns, so that they do not all write when one of them has gone.
func TestOneMemberWritesForATakeOver(t *testing.T) {
	w := settled(t, 5)
	version, writes := w.record.Version, w.writes
	w.instances[0].dead = true
	w.run(6 * time.Second)
	if w.record.Version != version+1 || w.writes != writes+1 {
		t.Errorf("%d writes, for version %d after %d", w.writes-writes, w.record.Version, version)
	}
	if w.refused > 0 {
		t.Errorf("%d renewals are refused, although nothing goes wrong", w.refused)
	}
}

// An instance that knows that it has the place of another one does not wait until the key of that one expires.
func TestSuccessorInTheSameProcessTakesOverAtOnce(t *testing.T) {
	w := newWorld(t, 0)
	w.quiet = true
	w.start()
	w.run(2 * time.Second)
	w.instances[0].dead = true
	before := w.record
	w.start()
	i := w.instances[1]
	i.core = member.New(member.Settings{Instance: i.name, Process: w.instances[0].name[:2], Logs: w.logs, TTL: ttl})
	w.run(ttl / 3) // less than two looks
	for n, l := range w.record.Logs {
		if l.Owner != i.name || l.Epoch <= before.Logs[n].Epoch {
			t.Errorf("log %d: %+v", n, l)
		}
	}
}

// If the record is lost, or restored from a copy, while there is no member, nobody knows which epochs were given.
func TestEpochsFollowTheTimeOfDay(t *testing.T) {
	w := newWorld(t, 0)
	w.quiet = true
	w.start()
	w.run(ttl)
	for n, l := range w.record.Logs {
		if at := time.Unix(int64(l.Epoch), 0); at.Before(w.clock(w.instances[0]).Wall.Add(-time.Minute)) {
			t.Errorf("log %d has the epoch %d", n, l.Epoch)
		}
	}
}

// A restart of several members would move logs for balance that move back soon.
func TestNothingMovesForBalanceUntilMembershipWasQuiet(t *testing.T) {
	w := newWorld(t, 0)
	w.quiet, w.logs = true, 8
	w.start()
	w.run(10 * time.Second)
	w.start()
	w.run(2*ttl - tick)
	if before := w.record; before.Version != 1 {
		t.Errorf("it is replaced after less than two TTLs: %+v", before)
	}
	w.run(2 * ttl)
	if w.record.Version == 1 {
		t.Error("the member that has joined gets nothing")
	}
}

// A bucket that was away has had no key renewed meanwhile.
func TestWhoComesBackWithTheBucketIsNotTakenForGone(t *testing.T) {
	for seed := range uint64(200) {
		w, offset := newWorld(t, seed), time.Duration(seed)*tick%ttl
		w.quiet = true
		w.start()
		w.start()
		w.run(30*time.Second + offset)
		before := w.record
		owner, other := w.instances[0], w.instances[1]
		outage := ttl + w.upTo(2*ttl)
		owner.cut = w.now + ttl + ttl/2 + outage
		w.run(ttl + ttl/2) // the other one sees that its key has expired
		if w.keys[owner.name] != nil || w.keys[other.name] == nil {
			t.Fatalf("keys %v", w.keys)
		}
		w.down = w.now + outage
		w.run(outage + 2*ttl)
		if !reflect.DeepEqual(w.record.Logs, before.Logs) {
			w.fail("%+v, then %+v", before, w.record)
		}
	}
}

func TestWhoIsSilentGetsNothing(t *testing.T) {
	w := settled(t, 3)
	silent, leaving := w.instances[1], w.instances[0]
	silent.dead = true
	w.run(ttl + ttl/2)
	had := len(leaving.core.Owned())
	leaving.events = append(leaving.events, member.Drain{})
	for range int(ttl / tick) {
		w.run(tick)
		for n, l := range w.record.Logs {
			if l.Next == silent.name {
				t.Fatalf("log %d is handed over to %s: %+v", n, silent.name, l)
			}
		}
	}
	w.run(4 * ttl)
	if had == 0 || len(leaving.core.Owned()) > 0 {
		t.Errorf("%d logs, then %d", had, len(leaving.core.Owned()))
	}
}
