package ticketing_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/ticketing"
)

// issue issues a ticket whose value is its lane and number, such as "a1".
func issue(s *ticketing.Issuer[string], lane string) (number, floor uint64) {
	number = s.Floor(lane)
	s.Lanes(func(o ticketing.Outstanding, _ func(func(uint64, string) bool)) {
		if o.Lane == lane {
			number = o.Highest + 1
		}
	})
	return s.Issue(lane, fmt.Sprintf("%s%d", lane, number))
}

// settle returns the values that settling a ticket resolves, in that order.
func settle[T any](s *ticketing.Issuer[T], lane string, number uint64) []T {
	var resolved []T
	s.Settle(lane, number, func(v T) { resolved = append(resolved, v) })
	return resolved
}

func want[T any](t *testing.T, what string, got, expected T) {
	t.Helper()
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestNumbersAreDenseFromOne(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	for expected := uint64(1); expected <= 5; expected++ {
		number, floor := issue(s, "a")
		want(t, "number", number, expected)
		want(t, "floor", floor, 1)
	}
	want(t, "outstanding", s.Outstanding(), 5)
}

func TestReturningLaneStartsAboveAllNumbers(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	issue(s, "a")
	for range 4 {
		issue(s, "b")
	}
	want(t, "floor of the second lane", s.Floor("b"), 2)
	settle(s, "a", 1)
	number, floor := issue(s, "a")
	want(t, "number", number, 6)
	want(t, "floor", floor, 6)
}

func TestFloorOfEmptyLaneIsItsNextNumber(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	want(t, "floor before anything", s.Floor("a"), 1)
	issue(s, "a")
	issue(s, "a")
	settle(s, "a", 1)
	want(t, "floor with a ticket outstanding", s.Floor("a"), 2)
	settle(s, "a", 2)
	floor := s.Floor("a")
	number, _ := issue(s, "a")
	want(t, "number after the lane emptied", number, floor)
}

func TestAnswersLeaveInTicketOrder(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	for range 4 {
		issue(s, "a")
	}
	want(t, "answers to 4", settle(s, "a", 4), nil)
	want(t, "answers to 2", settle(s, "a", 2), nil)
	want(t, "answers to 3", settle(s, "a", 3), nil)
	want(t, "answers to 1", settle(s, "a", 1), []string{"a1", "a2", "a3", "a4"})
}

func TestSettlingLeavesOtherLanesAlone(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	issue(s, "a")
	issue(s, "b")
	want(t, "answers", settle(s, "b", 2), []string{"b2"})
	want(t, "floor of the other", s.Floor("a"), 1)
	want(t, "outstanding", s.Outstanding(), 1)
}

func TestCancelledTicketIsAnsweredInTurn(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	for range 3 {
		issue(s, "a")
	}
	want(t, "answers to the cancellation", settle(s, "a", 2), nil)
	if _, found := s.Find("a", 2); found {
		t.Fatal("a cancelled ticket is still found: it would be staged or answered again")
	}
	want(t, "answers to the first", settle(s, "a", 1), []string{"a1", "a2"})
	want(t, "floor", s.Floor("a"), 3)
	want(t, "answers to the successor", settle(s, "a", 3), []string{"a3"})
}

func TestLateOutcomeIsIgnored(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	issue(s, "a")
	issue(s, "a")
	settle(s, "a", 2)
	want(t, "answers to the outcome of a ticket given up", settle(s, "a", 2), nil)
	want(t, "answers to the first", settle(s, "a", 1), []string{"a1", "a2"})
	want(t, "answers to the outcome of a resolved ticket", settle(s, "a", 2), nil)

	number, _ := issue(s, "a")
	want(t, "answers to a late outcome after the lane came back", settle(s, "a", 1), nil)
	want(t, "answers to a number never issued", settle(s, "a", number+1), nil)
	want(t, "answers to an unknown lane", settle(s, "b", 1), nil)
	want(t, "outstanding", s.Outstanding(), 1)
}

func TestIssuerForgetsResolvedLane(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	issue(s, "a")
	issue(s, "a")
	settle(s, "a", 2)
	want(t, "lanes while the first is outstanding", outstanding(s), []ticketing.Outstanding{{Lane: "a", Floor: 1, Highest: 2}})
	want(t, "answers", settle(s, "a", 1), []string{"a1", "a2"})
	want(t, "lanes", outstanding(s), nil)
	want(t, "outstanding", s.Outstanding(), 0)
}

func TestLanesVisitsUnsettledTicketsInOrder(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	for range 5 {
		issue(s, "a")
	}
	settle(s, "a", 1)
	settle(s, "a", 3)
	s.Lanes(func(lane ticketing.Outstanding, unsettled func(func(uint64, string) bool)) {
		want(t, "lane", lane, ticketing.Outstanding{Lane: "a", Floor: 2, Highest: 5})
		var seen []string
		for number, value := range unsettled {
			seen = append(seen, fmt.Sprint(number, value))
		}
		want(t, "unsettled", seen, []string{"2a2", "4a4", "5a5"})
		for number := range unsettled {
			want(t, "first", number, 2)
			break
		}
	})
}

// TestOrderOfLanesIsDeterministic uses so many lanes that the order of a map
// would hardly ever be the expected one.
func TestOrderOfLanesIsDeterministic(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	var lanes, values []string
	for _, lane := range []string{"d", "g", "b", "f", "a", "e", "c"} {
		number, _ := issue(s, lane)
		issue(s, lane)
		if lane == "d" || lane == "f" || lane == "c" { // the oldest, one between, and the newest
			settle(s, lane, number)
			settle(s, lane, number+1)
			continue
		}
		lanes = append(lanes, lane)
		values = append(values, fmt.Sprint(lane, number), fmt.Sprint(lane, number+1))
	}
	number, _ := issue(s, "d") // was forgotten, so it comes back as the newest
	lanes, values = append(lanes, "d"), append(values, fmt.Sprint("d", number))

	var visited, resolved []string
	s.Lanes(func(o ticketing.Outstanding, _ func(func(uint64, string) bool)) { visited = append(visited, o.Lane) })
	want(t, "lanes", visited, lanes)
	s.SettleAll(func(value string) { resolved = append(resolved, value) })
	want(t, "values", resolved, values)
	want(t, "lanes at the end", outstanding(s), nil)
	want(t, "outstanding", s.Outstanding(), 0)
	next, _ := issue(s, "a")
	want(t, "number after the end", next, number+1)
}

// outstanding returns the lanes with unresolved tickets, sorted by name.
func outstanding[T any](s *ticketing.Issuer[T]) []ticketing.Outstanding {
	var lanes []ticketing.Outstanding
	s.Lanes(func(o ticketing.Outstanding, _ func(func(uint64, T) bool)) { lanes = append(lanes, o) })
	slices.SortFunc(lanes, func(a, b ticketing.Outstanding) int {
		return slices.Compare([]byte(a.Lane), []byte(b.Lane))
	})
	return lanes
}

// modelLane has every ticket that a lane has issued since it was last empty.
type modelLane struct {
	first   uint64
	settled []bool
	floor   int // index of the lowest unresolved ticket
}

func TestIssuerMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ticketing.NewIssuer[uint64]()
		model := make(map[string]*modelLane)
		highest := uint64(0)
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"issue": func(t *rapid.T) {
				lane := name.Draw(t, "lane")
				m := model[lane]
				if m == nil {
					m = &modelLane{first: highest + 1}
					model[lane] = m
				}
				expected := m.first + uint64(len(m.settled))
				number, floor := s.Issue(lane, expected)
				if number != expected || floor != m.first+uint64(m.floor) {
					t.Fatalf("lane %s: issued %d at floor %d, want %d at %d", lane, number, floor, expected, m.first+uint64(m.floor))
				}
				m.settled = append(m.settled, false)
				highest = max(highest, number)
			},
			"settle": func(t *rapid.T) {
				lane := name.Draw(t, "lane")
				m := model[lane]
				if m == nil {
					t.Skip("nothing outstanding")
				}
				i := rapid.IntRange(0, len(m.settled)-1).Draw(t, "ticket")
				m.settled[i] = true
				var expected []uint64
				for ; m.floor < len(m.settled) && m.settled[m.floor]; m.floor++ {
					expected = append(expected, m.first+uint64(m.floor))
				}
				if got := settle(s, lane, m.first+uint64(i)); !slices.Equal(got, expected) {
					t.Fatalf("lane %s: settling %d resolves %v, want %v", lane, m.first+uint64(i), got, expected)
				}
				if m.floor == len(m.settled) {
					delete(model, lane)
				}
			},
			"": func(t *rapid.T) { checkIssuer(t, s, model, highest) },
		})
	})
}

func checkIssuer(t *rapid.T, s *ticketing.Issuer[uint64], model map[string]*modelLane, highest uint64) {
	total := 0
	lanes := outstanding(s)
	if len(lanes) != len(model) {
		t.Fatalf("%d lanes are kept, want %d", len(lanes), len(model))
	}
	for lane, m := range model {
		total += len(m.settled) - m.floor
		o := ticketing.Outstanding{Lane: lane, Floor: m.first + uint64(m.floor), Highest: m.first + uint64(len(m.settled)) - 1}
		if !slices.Contains(lanes, o) || s.Floor(lane) != o.Floor {
			t.Fatalf("lanes are %v with floor %d, want %v among them", lanes, s.Floor(lane), o)
		}
		for i, settled := range m.settled {
			number := m.first + uint64(i)
			if value, found := s.Find(lane, number); found == settled || found && value != number {
				t.Fatalf("lane %s: Find(%d) = %d, %t; settled is %t", lane, number, value, found, settled)
			}
		}
	}
	if s.Outstanding() != total || s.Floor("unknown") != highest+1 {
		t.Fatalf("%d outstanding, next lane starts at %d; want %d and %d", s.Outstanding(), s.Floor("unknown"), total, highest+1)
	}
}

func TestLeapKeepsOrderOfAnswers(t *testing.T) {
	s := ticketing.NewIssuer[string]()
	issue := func(lane, value string) uint64 {
		number, _ := s.Issue(lane, value)
		return number
	}
	one, two := issue("a", "one"), issue("a", "two")
	issue("b", "other")
	s.Leap("a", one)
	three := issue("a", "three")
	s.Leap("a", two) // issued before the leap: no second leap
	four := issue("a", "four")
	if three != 4 || four != 5 || s.Floor("a") != one {
		t.Fatalf("numbers %d and %d, floor %d; want 4, 5 and 1", three, four, s.Floor("a"))
	}
	var answers []string
	for _, n := range []uint64{four, three, two} {
		s.Settle("a", n, func(v string) { answers = append(answers, v) })
	}
	if len(answers) != 0 {
		t.Fatalf("answers %v before the first ticket is settled", answers)
	}
	s.Settle("a", one, func(v string) { answers = append(answers, v) })
	if want := []string{"one", "two", "three", "four"}; !slices.Equal(answers, want) {
		t.Fatalf("answers %v, want %v", answers, want)
	}
	if s.Outstanding() != 1 || s.Floor("a") != 6 {
		t.Fatalf("%d outstanding, floor %d; want the other lane's and 6", s.Outstanding(), s.Floor("a"))
	}
}

func TestFloorMovesPastLeap(t *testing.T) {
	s := ticketing.NewIssuer[int]()
	first, _ := s.Issue("a", 1)
	s.Issue("b", 2)
	s.Leap("a", first)
	second, floor := s.Issue("a", 3)
	if floor != first {
		t.Fatalf("floor %d with the first ticket open, want %d", floor, first)
	}
	s.Settle("a", first, func(int) {})
	if got := s.Floor("a"); got != second {
		t.Fatalf("floor %d with the first resolved, want %d", got, second)
	}
}
