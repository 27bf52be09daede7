package core

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/ticketing"
)

// turn is what arrives together, and when.
type turn struct {
	after   time.Duration
	arrived []Event
}

// script draws turns about a few lanes of a few frontend epochs.
func script(t *rapid.T) []turn {
	lane := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	number := rapid.Uint64Range(1, 12)
	epoch := rapid.SampledFrom([]uint64{frontend, frontend, frontend, frontend, frontend, frontend - 1, frontend + 1})
	batches := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) messages.StagedBatch {
		n := number.Draw(t, "number")
		return batch(lane.Draw(t, "lane"), n, rapid.Uint64Range(1, n).Draw(t, "floor"))
	}), 1, 6)
	lanes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) messages.LaneProgress {
		highest := number.Draw(t, "highest")
		return progress(lane.Draw(t, "lane"), rapid.Uint64Range(1, highest+1).Draw(t, "floor"), highest)
	}), 1, 4)
	message := rapid.Custom(func(t *rapid.T) Event {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return announce(epoch.Draw(t, "epoch"))
		case 1:
			return hello(number.Draw(t, "term"))
		case 2:
			return releaseAgain(frontend, lane.Draw(t, "lane"), number.Draw(t, "from"))
		case 3, 4, 5:
			return messages.Advance{Partition: partition0, Epoch: epoch.Draw(t, "epoch"), Lanes: lanes.Draw(t, "lanes")}
		default:
			return stagedBy(epoch.Draw(t, "epoch"), batches.Draw(t, "batches")...)
		}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) turn {
		return turn{
			after:   time.Duration(rapid.IntRange(0, 400).Draw(t, "ms")) * time.Millisecond,
			arrived: rapid.SliceOfN(message, 0, 4).Draw(t, "arrived"),
		}
	}), 1, 20).Draw(t, "turns")
}

// play runs a script through a new core.
func play(turns []turn) []sent {
	log, now := NewLog(sequencerEpoch, heartbeat), start
	log.Step(now, []Event{Added{partition0}})
	var all []sent
	for _, turn := range turns {
		now = now.Add(turn.after)
		all = append(all, log.Step(now, turn.arrived).Send)
	}
	return all
}

func TestSameInputSameOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := script(t)
		first := play(turns)
		for range 3 {
			if diff := cmp.Diff(first, play(turns)); diff != "" {
				t.Fatalf("another output (-first +other):\n%s", diff)
			}
		}
	})
}

func TestLanesAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := script(t)
		all := play(turns)
		for _, lane := range []string{"a", "b", "c", "d"} {
			alone := play(only(lane, turns))
			for i := range turns {
				if diff := cmp.Diff(concerning(lane, alone[i]), concerning(lane, all[i])); diff != "" {
					t.Fatalf("turn %d, lane %s (-alone +among others):\n%s", i, lane, diff)
				}
			}
		}
	})
}

// only returns a script without the items about other lanes.
func only(lane string, turns []turn) []turn {
	var kept []turn
	for _, t := range turns {
		k := turn{after: t.after}
		for _, m := range t.arrived {
			switch m := m.(type) {
			case messages.Staged:
				m.Batches = keep(m.Batches, func(b messages.StagedBatch) bool { return b.Lane == lane })
				k.arrived = append(k.arrived, m)
			case messages.Advance:
				m.Lanes = keep(m.Lanes, func(p messages.LaneProgress) bool { return p.Lane == lane })
				k.arrived = append(k.arrived, m)
			default:
				k.arrived = append(k.arrived, m)
			}
		}
		kept = append(kept, k)
	}
	return kept
}

func keep[T any](items []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(items), func(item T) bool { return !wanted(item) })
}

// concerning returns what a step released, and reported missing, of a lane.
func concerning(lane string, s sent) (items []any) {
	for _, e := range s {
		switch m := e.Message.(type) {
		case messages.Release:
			for _, b := range m.Batches {
				if b.Lane == lane {
					items = append(items, m.Epoch, b)
				}
			}
		case messages.Missing:
			for _, l := range m.Lanes {
				if l.Lane == lane {
					items = append(items, m.Epoch, l)
				}
			}
		}
	}
	return items
}

// upload is a batch on its way to the store.
type upload struct {
	done  time.Time
	batch messages.StagedBatch
}

type uploads []upload

func (u uploads) Len() int           { return len(u) }
func (u uploads) Less(i, j int) bool { return u[i].done.Before(u[j].done) }
func (u uploads) Swap(i, j int)      { u[i], u[j] = u[j], u[i] }
func (u *uploads) Push(x any)        { *u = append(*u, x.(upload)) }
func (u *uploads) Pop() any {
	last := (*u)[len(*u)-1]
	*u = (*u)[:len(*u)-1]
	return last
}

func TestColdStartReleasesInSendOrder(t *testing.T) {
	const producers, inFlight = 1000, 5
	random := rand.New(rand.NewPCG(1, 1))
	issuer := ticketing.NewIssuer[int]()
	r := newRig(t)
	r.step(announce(frontend))
	var pending uploads
	sentBy := make(map[string][]int64)
	for _, i := range random.Perm(producers * inFlight) {
		lane := fmt.Sprintf("producer %d", i%producers)
		number, floor := issuer.Issue(lane, i)
		b := batch(lane, number, floor)
		b.Extent.Offset = int64(i)
		sentBy[lane] = append(sentBy[lane], int64(i))
		heap.Push(&pending, upload{done: start.Add(time.Duration(random.IntN(200_000)) * time.Microsecond), batch: b})
	}
	released := make(map[string][]int64)
	for pending.Len() > 0 {
		// A step takes whatever completed since the one before.
		var arrived []Event
		for range min(pending.Len(), 1+random.IntN(50)) {
			u := heap.Pop(&pending).(upload)
			r.now = u.done
			arrived = append(arrived, staged(u.batch))
		}
		for _, m := range r.step(arrived...).messages(messages.ReplicatorSubject(partition0)) {
			for _, b := range m.(messages.Release).Batches {
				released[b.Lane] = append(released[b.Lane], b.Extent.Offset)
			}
		}
	}
	want(t, "batches by lane, in order", released, sentBy)
	stats := r.core.Stats()
	want(t, "completions", stats.Completions, producers*inFlight)
	want(t, "releases", stats.Released, producers*inFlight)
	if stats.Early < stats.Completions/5 {
		t.Errorf("%d of %d uploads finished out of order: too few to prove anything", stats.Early, stats.Completions)
	}

	var done []messages.LaneProgress
	for lane := range sentBy {
		done = append(done, progress(lane, 1<<40, 1<<40-1))
	}
	r.wait(heartbeat)
	r.silent("the last heartbeat", r.step(advance(done...)))
	want(t, "lanes left", len(r.core.lanes), 0)
}
