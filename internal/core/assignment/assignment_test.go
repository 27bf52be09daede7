package assignment_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"laneway.dev/internal/core/assignment"
)

func members(names ...string) []assignment.Member {
	all := make([]assignment.Member, len(names))
	for i, name := range names {
		all[i] = assignment.Member{Instance: name, Rule: assignment.Rule}
	}
	return all
}

// settle decides until nothing is to change. Hand-overs succeed between decisions.
func settle(t *testing.T, r assignment.Record, members []assignment.Member, logs int) assignment.Record {
	t.Helper()
	for range 10 * (logs + 1) {
		next, differs := r.Next(members, logs, true)
		if !differs && !handingOver(next) {
			return next
		}
		r = next
		for n := range r.Logs {
			if r.Logs[n].Next != "" {
				r = r.GivenAway(n)
			}
		}
	}
	t.Fatalf("it does not come to an end: %+v among %+v", r, members)
	return r
}

func handingOver(r assignment.Record) bool {
	return slices.ContainsFunc(r.Logs, func(l assignment.Log) bool { return l.Next != "" })
}

func loads(r assignment.Record) map[string]int {
	loads := make(map[string]int)
	for _, l := range r.Logs {
		loads[l.Owner]++
	}
	return loads
}

func owners(r assignment.Record) (owners []string) {
	for _, l := range r.Logs {
		owners = append(owners, l.Owner)
	}
	return owners
}

// moved returns how many logs have other owners.
func moved(a, b assignment.Record) (n int) {
	for i := range b.Logs {
		if i >= len(a.Logs) || a.Logs[i].Owner != b.Logs[i].Owner {
			n++
		}
	}
	return n
}

func TestALoneMemberOwnsEverything(t *testing.T) {
	r, differs := assignment.Record{}.Next(members("a"), 4, false)
	if !differs || loads(r)["a"] != 4 {
		t.Fatalf("%+v", r)
	}
	for n, l := range r.Logs {
		if l.Epoch != 1 {
			t.Errorf("log %d has epoch %d, want 1", n, l.Epoch)
		}
	}
	if again, differs := r.Next(members("a"), 4, true); differs {
		t.Errorf("a record in which nothing is wrong is replaced by %+v", again)
	}
}

func TestALogWhoseOwnerIsGoneMovesAtOnceAndAloneInAnotherEpoch(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a", "b", "c"), 9)
	after, _ := r.Next(members("a", "c"), 9, false)
	if got := moved(r, after); got != 3 {
		t.Errorf("%d logs moved, want the 3 of b: %v, then %v", got, owners(r), owners(after))
	}
	for n := range r.Logs {
		if was, is := r.Logs[n], after.Logs[n]; (was.Owner == "b") != (is.Epoch == was.Epoch+1) || is.Owner == "b" {
			t.Errorf("log %d: %+v, then %+v", n, was, is)
		}
	}
}

func TestAMemberThatJoinsGetsItsShareOnceItIsCalm(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a", "b"), 16)
	now := members("a", "b", "c", "d")
	if next, differs := r.Next(now, 16, false); differs {
		t.Fatalf("before it is calm: %v", owners(next))
	}
	next, _ := r.Next(now, 16, true)
	var givers, takers []string
	for _, l := range next.Logs {
		if l.Next != "" {
			givers, takers = append(givers, l.Owner), append(takers, l.Next)
		}
	}
	slices.Sort(givers)
	slices.Sort(takers)
	if !slices.Equal(givers, []string{"a", "b"}) || !slices.Equal(takers, []string{"c", "d"}) {
		t.Errorf("%v hand over to %v, want one log from each of a and b to each of c and d", givers, takers)
	}
	if again, differs := next.Next(now, 16, true); differs {
		t.Errorf("more hand-overs begin before these have ended: %+v", again)
	}
	if after := settle(t, next, now, 16); moved(r, after) != 8 {
		t.Errorf("%d logs moved, want 8", moved(r, after))
	}
}

func TestADrainingMemberHandsOverAllAtOnce(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a", "b", "c"), 12)
	now := members("a", "b", "c")
	now[1].Draining = true
	next, _ := r.Next(now, 12, false)
	for n, l := range next.Logs {
		if (l.Owner == "b") != (l.Next != "") {
			t.Errorf("log %d: %+v", n, l)
		}
	}
	after := settle(t, next, now, 12)
	if got := loads(after); got["a"] != 6 || got["c"] != 6 {
		t.Errorf("loads %v", got)
	}
}

func TestWhenAllDrainLogsStay(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a", "b"), 4)
	now := members("a", "b")
	now[0].Draining, now[1].Draining = true, true
	if next, differs := r.Next(now, 4, true); differs {
		t.Errorf("%+v", next)
	}
}

func TestASilentMemberKeepsWhatItHasAndGetsNothing(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a", "b", "c"), 9)
	now := members("a", "b", "c", "d")
	now[1].Silent, now[3].Silent = true, true
	if next, differs := r.Next(now, 9, true); differs {
		t.Errorf("%v, then %v", owners(r), owners(next))
	}
	gone := []assignment.Member{now[0], now[1], now[3]}
	after, _ := r.Next(gone, 9, false)
	if got := loads(after); got["a"] != 6 || got["b"] != 3 {
		t.Errorf("after c has gone: %v", got)
	}
}

func TestAHandOverToWhoIsGoneEnds(t *testing.T) {
	r := assignment.Record{Version: 7, By: "c", Logs: []assignment.Log{{Owner: "a", Epoch: 3, Next: "b"}, {Owner: "a", Epoch: 4}}}
	next, _ := r.Next(members("a"), 2, false)
	want := assignment.Record{Version: 7, By: "c", Logs: []assignment.Log{{Owner: "a", Epoch: 3}, {Owner: "a", Epoch: 4}}}
	if !reflect.DeepEqual(next, want) {
		t.Errorf("%+v, want %+v", next, want)
	}
}

func TestWhoPreparesForALogGetsItWhenItsOwnerIsGone(t *testing.T) {
	r := assignment.Record{Logs: []assignment.Log{{Owner: "a", Epoch: 3, Next: "c"}, {Owner: "c", Epoch: 1}}}
	next, _ := r.Next(members("b", "c"), 2, false)
	if l := next.Logs[0]; l.Owner != "c" || l.Epoch != 4 || l.Next != "" {
		t.Errorf("%+v", l)
	}
}

func TestALogGoesToEachOtherMemberBeforeItReturnsToOneThatHasFailedOnIt(t *testing.T) {
	all := members("a", "b", "c")
	r := settle(t, assignment.Record{}, all, 3)
	var had []string
	for range 6 {
		had = append(had, r.Logs[0].Owner)
		r, _ = r.GivenUp(0).Next(all, 3, false)
	}
	for _, round := range [][]string{had[:3], had[3:]} {
		round = slices.Sorted(slices.Values(round))
		if !slices.Equal(round, []string{"a", "b", "c"}) {
			t.Fatalf("the log was owned by %v", had)
		}
	}
	if had[2] == had[3] {
		t.Errorf("the last one that has failed gets the log again: %v", had)
	}
}

// Each start has another name. Otherwise the record would grow with each restart.
func TestInstancesThatAreGoneAreForgotten(t *testing.T) {
	r := assignment.Record{Logs: []assignment.Log{{Owner: "c", Epoch: 3, Failed: []string{"a", "b", "c"}}}}
	all := members("c", "d")
	all[0].Silent = true
	next, _ := r.Next(all, 1, false)
	if l := next.Logs[0]; l.Owner != "d" || !slices.Equal(l.Failed, []string{"c"}) {
		t.Errorf("%+v", l)
	}
}

func TestTheOnlyMemberTriesAgainInAnotherEpoch(t *testing.T) {
	r := settle(t, assignment.Record{}, members("a"), 1)
	next, _ := r.GivenUp(0).Next(members("a"), 1, false)
	if l := next.Logs[0]; l.Owner != "a" || l.Epoch != 2 || l.Failed != nil {
		t.Errorf("%+v", l)
	}
}

func TestARaisedEpochIsAboveWhatItsOwnerWasToldAndItsOwn(t *testing.T) {
	r := assignment.Record{Logs: []assignment.Log{{Owner: "a", Epoch: 3}}}
	if got := r.Raised(0, 9).Logs[0].Epoch; got != 10 {
		t.Errorf("epoch %d, want 10", got)
	}
	if got := r.Raised(0, 1).Logs[0].Epoch; got != 4 {
		t.Errorf("epoch %d, want 4", got)
	}
}

func TestOnlyMembersWithTheHighestRuleReplaceARecord(t *testing.T) {
	all := members("a", "b")
	if !assignment.May(all) {
		t.Error("nobody has a higher rule")
	}
	all[1].Rule++
	if assignment.May(all) {
		t.Error("b has a higher rule")
	}
}

// TestAnyHistoryOfMembers changes the members by chance, and decides in any order and at any time.
func TestAnyHistoryOfMembers(t *testing.T) {
	for seed := range uint64(3000) {
		h := &chance{T: t, r: rand.New(rand.NewPCG(seed, 0)), seed: seed}
		h.logs = 1 + h.r.IntN(16)
		for range 40 {
			h.step()
		}
		h.calm()
		if t.Failed() {
			return
		}
	}
}

// chance is one history.
type chance struct {
	*testing.T
	r       *rand.Rand
	seed    uint64
	logs    int
	record  assignment.Record
	members []assignment.Member
	named   int
}

func (h *chance) step() {
	switch n := len(h.members); {
	case n == 0 || n < 6 && h.r.IntN(4) == 0:
		h.named++
		h.members = append(h.members, assignment.Member{Instance: fmt.Sprintf("m%02d", h.named), Rule: assignment.Rule})
	case h.r.IntN(6) == 0:
		at := h.r.IntN(n)
		h.members = slices.Delete(h.members, at, at+1)
	case h.r.IntN(8) == 0:
		h.members[h.r.IntN(n)].Draining = true
	}
	h.decide(h.r.IntN(2) == 0)
	for n, l := range h.record.Logs {
		owner := slices.ContainsFunc(h.members, func(m assignment.Member) bool { return m.Instance == l.Owner })
		switch was := h.record; {
		case !owner || h.r.IntN(3) > 0:
			continue
		case l.Next != "" && h.r.IntN(4) == 0:
			h.record = was.Kept(n)
		case l.Next != "":
			h.record = was.GivenAway(n)
		case h.r.IntN(20) == 0:
			h.record = was.GivenUp(n)
		case h.r.IntN(15) == 0:
			h.record = was.Raised(n, l.Epoch+uint64(h.r.IntN(5)))
		default:
			continue
		}
		if h.record.Logs[n].Epoch < l.Epoch {
			h.Errorf("seed %d: log %d: the epoch falls: %+v, then %+v", h.seed, n, l, h.record.Logs[n])
		}
	}
}

// decide lets a member decide, and checks what holds for any decision.
func (h *chance) decide(calm bool) {
	before := h.record
	next, differs := before.Next(h.members, h.logs, calm)
	others := slices.Clone(h.members)
	h.r.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	if same, _ := before.Next(others, h.logs, calm); !reflect.DeepEqual(same, next) {
		h.Errorf("seed %d: members in another order decide %+v instead of %+v", h.seed, same, next)
	}
	if again, more := next.Next(h.members, h.logs, calm); more {
		h.Errorf("seed %d: %+v is replaced again, by %+v", h.seed, next, again)
	}
	if differs == reflect.DeepEqual(next, before) {
		h.Errorf("seed %d: %+v differs from %+v: %t", h.seed, next, before, differs)
	}
	for n, l := range next.Logs {
		was := assignment.Log{}
		if n < len(before.Logs) {
			was = before.Logs[n]
		}
		h.check(n, was, l)
	}
	h.record = next
}

func (h *chance) check(n int, was, is assignment.Log) {
	state := func(instance string) (there, draining bool) {
		for _, m := range h.members {
			if m.Instance == instance {
				return true, m.Draining
			}
		}
		return false, false
	}
	there, _ := state(was.Owner)
	failed := slices.Contains(was.Failed, was.Owner)
	isThere, isDraining := state(is.Owner)
	nextThere, nextDraining := state(is.Next)
	someTake := slices.ContainsFunc(h.members, func(m assignment.Member) bool { return !m.Draining })
	switch {
	case is.Epoch < was.Epoch || (is.Owner != was.Owner) != (is.Epoch > was.Epoch) && !failed:
		h.Errorf("seed %d: log %d: an owner without an epoch of its own: %+v, then %+v", h.seed, n, was, is)
	case is.Owner != was.Owner && there && !failed:
		h.Errorf("seed %d: log %d was taken from an owner that is there: %+v, then %+v", h.seed, n, was, is)
	case is.Owner != was.Owner && isDraining:
		h.Errorf("seed %d: log %d goes to a draining member: %+v, then %+v", h.seed, n, was, is)
	case !isThere && someTake:
		h.Errorf("seed %d: log %d has no owner among %+v: %+v", h.seed, n, h.members, is)
	case is.Next != "" && (!nextThere || nextDraining || is.Next == is.Owner):
		h.Errorf("seed %d: log %d is handed over to %q: %+v", h.seed, n, is.Next, is)
	}
}

// calm checks that the logs are spread evenly, and what moved for that, once no member comes or goes.
func (h *chance) calm() {
	for n := range h.record.Logs {
		h.record.Logs[n].Failed = nil
	}
	var takers []string
	for _, m := range h.members {
		if !m.Draining {
			takers = append(takers, m.Instance)
		}
	}
	if len(takers) == 0 {
		return
	}
	h.decide(false)
	if handingOver(h.record) { // those that are under way may lead away from even
		for n := range h.record.Logs {
			if h.record.Logs[n].Next != "" {
				h.record = h.record.GivenAway(n)
			}
		}
	}
	before := loads(h.record)
	after := settle(h.T, h.record, h.members, h.logs)
	has := loads(after)
	least, most := h.logs, 0
	for _, name := range takers {
		least, most = min(least, has[name]), max(most, has[name])
	}
	if most-least > 1 {
		h.Errorf("seed %d: loads %v", h.seed, has)
	}
	// The fewest that can move are those that members have above their shares.
	share, rest := h.logs/len(takers), h.logs%len(takers)
	slices.SortFunc(takers, func(a, b string) int { return before[b] - before[a] })
	fewest := 0
	for i, name := range takers {
		of := share
		if i < rest {
			of++
		}
		fewest += max(0, before[name]-of)
	}
	for name, n := range before {
		if !slices.Contains(takers, name) {
			fewest += n
		}
	}
	if got := moved(h.record, after); got > fewest {
		h.Errorf("seed %d: %d logs moved, %d would do: %v, then %v", h.seed, got, fewest, before, has)
	}
}

func TestEpochsThatChangeAreNotBelowTheTimeOfDay(t *testing.T) {
	before := assignment.Record{Logs: []assignment.Log{{Owner: "a", Epoch: 7}, {Owner: "a", Epoch: 8}, {Owner: "a", Epoch: 200}}}
	next := before.GivenUp(0).Raised(1, 8).Raised(2, 8)
	next.Logs = append(next.Logs, assignment.Log{Owner: "a", Epoch: 1})
	var got []uint64
	for _, l := range next.NotBelow(100, before).Logs {
		got = append(got, l.Epoch)
	}
	if want := []uint64{7, 100, 201, 100}; !slices.Equal(got, want) {
		t.Errorf("the epochs are %d, want %d", got, want)
	}
	if next.Logs[1].Epoch != 9 {
		t.Error("the record itself was changed")
	}
}
