package ticketing_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"pgregory.net/rapid"

	"laneway.dev/pkg/ticketing"
)

const heartbeat = 200 * time.Millisecond

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// numbers returns the numbers of turns, in order.
func numbers[R any](turns []ticketing.Turn[R]) []uint64 {
	var list []uint64
	for _, turn := range turns {
		list = append(list, turn.Number)
	}
	return list
}

// staged stages a result that is its own number, and returns the numbers released.
func staged(l *ticketing.Lane[uint64], number, floor uint64, now time.Time) []uint64 {
	turns, _ := l.Staged(number, floor, number, now)
	return numbers(turns)
}

func TestReleasesHeadAtOnce(t *testing.T) {
	l := ticketing.NewLane[string](1, start)
	turns, arrival := l.Staged(1, 1, "first", start)
	want(t, "turns", turns, []ticketing.Turn[string]{{Result: "first", Number: 1, Since: start}})
	want(t, "arrival", arrival, ticketing.InTurn)
}

func TestEarlyResultWaitsForItsTurn(t *testing.T) {
	l := ticketing.NewLane[string](1, start)
	turns, arrival := l.Staged(2, 1, "second", start)
	want(t, "turns of the second", turns, nil)
	want(t, "arrival of the second", arrival, ticketing.Early)
	want(t, "waiting", l.Waiting(), 1)

	later := start.Add(time.Hour)
	turns, arrival = l.Staged(1, 1, "first", later)
	want(t, "turns of the first", turns, []ticketing.Turn[string]{
		{Result: "first", Number: 1, Since: later},
		{Result: "second", Number: 2, Since: start},
	})
	want(t, "arrival of the first", arrival, ticketing.InTurn)
	want(t, "waiting", l.Waiting(), 0)
}

func TestDropsResultBelowFloor(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	want(t, "turns of the third", staged(l, 3, 1, start), nil)
	turns, _ := l.Advance(3, 3, start, heartbeat, 10)
	want(t, "turns when 1 and 2 were given up", numbers(turns), []uint64{3})
	want(t, "turns of 2, with an older floor", staged(l, 2, 1, start), nil)
	want(t, "floor", l.Floor(), 3)
}

func TestLateMessageDoesNotLowerFloor(t *testing.T) {
	l := ticketing.NewLane[uint64](5, start)
	staged(l, 5, 5, start)
	l.Advance(6, 6, start, heartbeat, 10)
	want(t, "turns of a result with a stale floor", staged(l, 5, 2, start), nil)
	turns, missing := l.Advance(3, 6, start.Add(time.Hour), heartbeat, 10)
	want(t, "turns of a stale heartbeat", numbers(turns), nil)
	want(t, "missing", missing, []uint64{6})
	want(t, "floor", l.Floor(), 6)
}

func TestNewLaneStartsAtFloor(t *testing.T) {
	l := ticketing.NewLane[uint64](40, start)
	want(t, "turns above the floor", staged(l, 41, 40, start), nil)
	want(t, "turns at the floor", staged(l, 40, 40, start), []uint64{40, 41})
}

func TestFloorOfResultReleasesWaiting(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	staged(l, 3, 1, start)
	want(t, "turns", staged(l, 4, 3, start), []uint64{3, 4})
}

func TestFloorAboveNextDropsWaitingBelowIt(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	for _, n := range []uint64{2, 3, 6} {
		staged(l, n, 1, start)
	}
	turns, missing := l.Advance(5, 6, start, heartbeat, 10)
	want(t, "turns", numbers(turns), nil)
	want(t, "missing", missing, []uint64{5})
	want(t, "waiting", l.Waiting(), 1)
	want(t, "turns of 5", staged(l, 5, 1, start), []uint64{5, 6})
}

func TestDuplicateOfUnresolvedResultIsReleasedAgain(t *testing.T) {
	l := ticketing.NewLane[string](1, start)
	l.Staged(1, 1, "first extent", start)
	turns, arrival := l.Staged(1, 1, "second extent", start)
	want(t, "turns", turns, []ticketing.Turn[string]{{Result: "first extent", Number: 1}})
	want(t, "arrival", arrival, ticketing.Duplicate)
	turns, arrival = l.Staged(1, 2, "third extent", start)
	want(t, "turns once resolved", turns, nil)
	want(t, "arrival once resolved", arrival, ticketing.Duplicate)
}

func TestDuplicateOfWaitingResultIsDropped(t *testing.T) {
	l := ticketing.NewLane[string](1, start)
	l.Staged(2, 1, "first extent", start)
	turns, arrival := l.Staged(2, 1, "second extent", start.Add(time.Hour))
	want(t, "turns", turns, nil)
	want(t, "arrival", arrival, ticketing.Duplicate)
	turns, _ = l.Staged(1, 1, "head", start)
	want(t, "released", turns[1], ticketing.Turn[string]{Result: "first extent", Number: 2, Since: start})
}

func TestHeartbeatRepeatsLostRelease(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	staged(l, 1, 1, start)
	staged(l, 2, 1, start.Add(heartbeat/2))
	advance := func(at time.Duration) []uint64 {
		turns, missing := l.Advance(1, 2, start.Add(at), heartbeat, 10)
		want(t, "missing", missing, nil)
		for _, turn := range turns {
			want(t, "a repeated release waited", turn.Since, time.Time{})
		}
		return numbers(turns)
	}
	want(t, "just before a heartbeat", advance(heartbeat-1), nil)
	want(t, "after a heartbeat", advance(heartbeat), []uint64{1})
	want(t, "after the second's heartbeat", advance(heartbeat*3/2), []uint64{2})
	want(t, "right after", advance(heartbeat*2-1), nil)
	want(t, "after another heartbeat", advance(heartbeat*3), []uint64{1, 2})
}

func TestHeartbeatDoesNotRepeatResolved(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	for n := range uint64(4) {
		staged(l, n+1, 1, start)
	}
	later := start.Add(heartbeat)
	turns, _ := l.Advance(3, 4, later, heartbeat, 10)
	want(t, "turns", numbers(turns), []uint64{3, 4})
	want(t, "turns from below the floor", numbers(l.Again(0, later, 0)), []uint64{3, 4})
	want(t, "turns from the last", numbers(l.Again(4, later, 0)), []uint64{4})
	want(t, "turns from beyond", numbers(l.Again(9, later, 0)), nil)
}

func TestHeartbeatNamesMissingWithoutReleasing(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	staged(l, 3, 1, start)
	for beat := range 20 {
		turns, missing := l.Advance(1, 4, start.Add(time.Duration(beat)*heartbeat), heartbeat, 10)
		want(t, "turns", numbers(turns), nil)
		want(t, "missing", missing, []uint64{1, 2, 4})
	}
	later := start.Add(20 * heartbeat)
	want(t, "turns of 2", staged(l, 2, 1, later), nil)
	want(t, "turns of 1", staged(l, 1, 1, later), []uint64{1, 2, 3})
}

func TestMissingIsBounded(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	staged(l, 2, 1, start)
	_, missing := l.Advance(1, 1<<63, start, heartbeat, 3)
	want(t, "missing", missing, []uint64{1, 3, 4})
	_, missing = l.Advance(1, 0, start, heartbeat, 3)
	want(t, "missing below the floor", missing, nil)
}

func TestHeartbeatRepeatsBeforeItReleasesNew(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	for _, n := range []uint64{1, 2, 4} {
		staged(l, n, 1, start)
	}
	turns, _ := l.Advance(2, 4, start.Add(heartbeat), heartbeat, 10)
	want(t, "turns while 3 is awaited", numbers(turns), []uint64{2})
	turns, _ = l.Advance(4, 4, start.Add(heartbeat), heartbeat, 10)
	want(t, "turns when 3 was given up", numbers(turns), []uint64{4})
}

func TestLaneIsIdleWhenAllIsResolved(t *testing.T) {
	ages := start.Add(-time.Hour)
	l := ticketing.NewLane[uint64](1, start)
	want(t, "new", l.Idle(ages), true)
	staged(l, 1, 1, start)
	want(t, "released, unresolved", l.Idle(ages), false)
	staged(l, 3, 2, start)
	want(t, "one waits", l.Idle(ages), false)
	l.Advance(3, 3, start, heartbeat, 10)
	want(t, "the next released, unresolved", l.Idle(ages), false)
	l.Advance(4, 3, start, heartbeat, 10)
	want(t, "all resolved", l.Idle(ages), true)
}

func TestSilentLaneIsIdle(t *testing.T) {
	l := ticketing.NewLane[uint64](1, start)
	staged(l, 2, 1, start)
	want(t, "heard of just then", l.Idle(start), false)
	want(t, "not heard of since", l.Idle(start.Add(1)), true)
	l.Advance(1, 2, start.Add(heartbeat), heartbeat, 10)
	want(t, "heard of by a heartbeat", l.Idle(start.Add(1)), false)
	staged(l, 3, 1, start.Add(2*heartbeat))
	want(t, "heard of by a result", l.Idle(start.Add(2*heartbeat)), false)
}

func TestForgottenLaneContinuesAtFloor(t *testing.T) {
	old := ticketing.NewLane[uint64](1, start)
	staged(old, 1, 1, start)
	staged(old, 3, 1, start) // still waiting when the lane is forgotten
	l := ticketing.NewLane[uint64](2, start)
	turns, missing := l.Advance(2, 4, start, heartbeat, 10)
	want(t, "turns", numbers(turns), nil)
	want(t, "missing", missing, []uint64{2, 3, 4})
	want(t, "turns of 4", staged(l, 4, 1, start), nil)
	want(t, "turns of 3", staged(l, 3, 1, start), nil)
	want(t, "turns of 2", staged(l, 2, 1, start), []uint64{2, 3, 4})
}

func TestResolvedResultsAreCollected(t *testing.T) {
	l := ticketing.NewLane[*[1 << 10]byte](1, start)
	for n := uint64(1); n <= 8; n++ {
		l.Staged(n, 1, new([1 << 10]byte), start)
	}
	turns := l.Again(1, start, 0)
	resolved, unresolved := weak.Make(turns[3].Result), weak.Make(turns[4].Result)
	clear(turns)
	l.Advance(5, 8, start, heartbeat, 10)
	runtime.GC()
	if resolved.Value() != nil {
		t.Error("a resolved result is still in memory")
	}
	if unresolved.Value() == nil {
		t.Error("an unresolved result is gone")
	}
	runtime.KeepAlive(l)
}

// laneModel is a simple model of a lane: a set of numbers.
type laneModel struct {
	floor, next uint64
	known       map[uint64]bool
	released    map[uint64]time.Time
}

// raise returns the numbers that a floor releases and that were not released before.
func (m *laneModel) raise(floor uint64, now time.Time) (first []uint64) {
	m.floor = max(m.floor, floor)
	m.next = max(m.next, m.floor)
	for ; m.known[m.next]; m.next++ {
		first = append(first, m.next)
		m.released[m.next] = now
	}
	return first
}

// again returns the numbers whose release is to be repeated.
func (m *laneModel) again(from uint64, now time.Time, age time.Duration) (again []uint64) {
	for n := max(from, m.floor); n < m.next; n++ {
		if at, released := m.released[n]; released && now.Sub(at) >= age {
			again = append(again, n)
			m.released[n] = now
		}
	}
	return again
}

func (m *laneModel) staged(number, floor uint64, now time.Time) []uint64 {
	turns := m.raise(floor, now)
	switch {
	case number < m.floor:
	case number < m.next:
		m.released[number] = now
		turns = append(turns, number)
	default:
		m.known[number] = true
		turns = append(turns, m.raise(floor, now)...)
	}
	return turns
}

func (m *laneModel) missing(highest uint64, limit int) (missing []uint64) {
	for n := m.next; n <= highest && len(missing) < limit; n++ {
		if !m.known[n] {
			missing = append(missing, n)
		}
	}
	return missing
}

func TestLaneMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		number := rapid.Uint64Range(1, 24)
		first := number.Draw(t, "first floor")
		l := ticketing.NewLane[uint64](first, now)
		m := &laneModel{floor: first, next: first, known: map[uint64]bool{}, released: map[uint64]time.Time{}}
		same := func(t *rapid.T, got []ticketing.Turn[uint64], expected []uint64) {
			if !slices.Equal(numbers(got), expected) {
				t.Fatalf("released %v, want %v", numbers(got), expected)
			}
			for _, turn := range got {
				if turn.Result != turn.Number {
					t.Fatalf("number %d is released with the result of %d", turn.Number, turn.Result)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"staged": func(t *rapid.T) {
				n, floor := number.Draw(t, "number"), number.Draw(t, "floor")%8
				turns, _ := l.Staged(n, floor, n, now)
				same(t, turns, m.staged(n, floor, now))
			},
			"advance": func(t *rapid.T) {
				floor, highest := number.Draw(t, "floor"), number.Draw(t, "highest")
				turns, missing := l.Advance(floor, highest, now, heartbeat, 5)
				expected := append(m.again(floor, now, heartbeat), m.raise(floor, now)...)
				same(t, turns, expected)
				if expected := m.missing(highest, 5); !slices.Equal(missing, expected) {
					t.Fatalf("missing %v, want %v", missing, expected)
				}
			},
			"again": func(t *rapid.T) {
				from := number.Draw(t, "from")
				same(t, l.Again(from, now, 0), m.again(from, now, 0))
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 150).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if l.Floor() != m.floor {
					t.Fatalf("floor is %d, want %d", l.Floor(), m.floor)
				}
			},
		})
	})
}

func TestForgottenResultIsAwaitedAgain(t *testing.T) {
	now := time.Now()
	lane := ticketing.NewLane[string](1, now)
	for n := range uint64(3) {
		lane.Staged(n+1, 1, "old", now)
	}
	lane.Staged(5, 1, "old", now)
	is := func(r string) bool { return r == "old" }
	for n, want := range map[uint64]bool{0: false, 2: true, 4: false, 5: true, 6: false} {
		if got := lane.Forget(n, is); got != want {
			t.Errorf("ticket %d is forgotten: %v, want %v", n, got, want)
		}
	}
	if _, missing := lane.Advance(1, 5, now, time.Hour, 10); !slices.Equal(missing, []uint64{2, 4, 5}) {
		t.Errorf("missing %v", missing)
	}
	turns, _ := lane.Staged(2, 1, "new", now)
	if len(turns) != 2 || turns[0].Number != 2 || turns[0].Result != "new" || turns[1].Number != 3 {
		t.Errorf("released %+v", turns)
	}
	if lane.Forget(2, is) {
		t.Error("the new result is forgotten")
	}
}
