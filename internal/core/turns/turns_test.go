package turns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

const every = 200 * time.Millisecond

// counter is a core that has work until it has had so many beats.
type counter struct{ busy int }

// rig is a group that tells of each step as partition:events, with a * in a beat.
type rig struct {
	t     *testing.T
	group *Group[*counter, string]
	now   time.Time
}

func newRig(t *testing.T, partitions ...int32) *rig {
	r := &rig{t: t, group: NewGroup[*counter, string](every), now: time.Unix(1000, 0)}
	for _, n := range partitions {
		r.group.Add(id(n), &counter{})
	}
	r.turn()
	return r
}

// newRestingRig returns a rig with so many members, each of which rests for so many beats.
func newRestingRig(t *testing.T, beats int, members int32) *rig {
	r := newRig(t)
	r.group = NewGroup[*counter, string](every)
	r.group.Rest(beats)
	for n := range members {
		r.group.Add(id(n), &counter{})
	}
	r.turn()
	return r
}

func id(n int32) protocol.Partition {
	return protocol.Partition{Topic: "orders", TopicID: 7, Number: n}
}

func (r *rig) turn() string {
	var steps []string
	r.group.Turn(r.now, func(m *Member[*counter, string], events []string, beat bool) bool {
		step := fmt.Sprintf("%d:%s", m.ID.Number, strings.Join(events, ","))
		if beat {
			m.Core.busy = max(m.Core.busy-1, 0)
			step += "*"
		}
		if m.Removed() {
			step += " ends"
		}
		if slices.Contains(events, "work") {
			m.Core.busy = 2
		}
		steps = append(steps, step)
		return m.Core.busy == 0
	})
	return strings.Join(steps, " ")
}

func (r *rig) call(n int32, event string) {
	r.t.Helper()
	if !r.group.Call(id(n), event) {
		r.t.Fatalf("partition %d is not known", n)
	}
}

func (r *rig) want(steps string) {
	r.t.Helper()
	if got := r.turn(); got != steps {
		r.t.Fatalf("steps %q, want %q", got, steps)
	}
}

func TestMembersTakePartInTheOrderOfTheirFirstEvents(t *testing.T) {
	r := newRig(t, 1, 2, 3)
	for i, n := range []int32{3, 1, 3, 3, 1} {
		r.call(n, fmt.Sprint(i))
	}
	r.want("3:0,2,3 1:1,4")
	r.want("")
	r.call(2, "5")
	r.want("2:5")
}

func TestOnlyMembersThatAreNotIdleHaveBeats(t *testing.T) {
	r := newRig(t, 1, 2, 3)
	r.now = r.now.Add(every)
	r.want("")
	r.call(3, "work")
	r.call(1, "work")
	r.want("3:work 1:work")
	r.now = r.now.Add(every - 1)
	r.want("")
	r.now = r.now.Add(1)
	r.call(2, "event")
	r.want("2:event* 3:* 1:*")
	r.call(1, "work")
	r.want("1:work")
	r.now = r.now.Add(every)
	r.want("3:* 1:*")
	r.now = r.now.Add(every)
	r.want("1:*")
	r.now = r.now.Add(every)
	r.want("")
}

func TestRemovedMemberHasOneMoreTurn(t *testing.T) {
	r := newRig(t, 1, 2)
	r.call(1, "work")
	r.call(2, "work")
	r.want("1:work 2:work")
	r.call(1, "last")
	r.group.Remove(id(1))
	r.group.Remove(id(5))
	if r.group.Call(id(1), "late") {
		t.Error("a removed member takes an event")
	}
	r.want("1:last ends")
	r.now = r.now.Add(every)
	r.want("2:*")
	if all := r.group.All(); len(all) != 1 || all[0].ID != id(2) {
		t.Errorf("members %v", all)
	}
}

func TestMemberThatIsAddedTakesPartAtOnce(t *testing.T) {
	r := newRig(t)
	r.group.Add(id(2), &counter{busy: 1})
	r.group.Add(id(1), &counter{})
	r.call(1, "event")
	r.want("2: 1:event")
	var numbers []int32
	for _, m := range r.group.All() {
		numbers = append(numbers, m.ID.Number)
	}
	if !slices.Equal(numbers, []int32{1, 2}) {
		t.Errorf("members %v, want them sorted", numbers)
	}
}

func TestIdleMembersRestForSoManyBeats(t *testing.T) {
	r := newRestingRig(t, 3, 7)
	for _, steps := range []string{"1:* 4:*", "2:* 5:*", "0:* 3:* 6:*", "1:* 4:*"} {
		r.now = r.now.Add(every)
		r.want(steps)
	}
	r.call(2, "work")
	r.call(3, "event")
	r.want("2:work 3:event")
	for _, steps := range []string{"2:* 5:*", "2:* 0:* 3:* 6:*", "1:* 4:*"} {
		r.now = r.now.Add(every)
		r.want(steps)
	}
	r.group.Remove(id(2))
	r.want("2: ends")
	r.now = r.now.Add(every)
	r.want("5:*")
	r.group.Remove(id(0))
	r.want("0: ends")
	r.now = r.now.Add(every)
	r.want("6:* 3:*")
}

func TestLateBeatEndsTheRestOfAllWhoseTimeHasCome(t *testing.T) {
	r := newRestingRig(t, 3, 3)
	r.now = r.now.Add(2*every + every/2)
	r.want("1:* 2:*")
	r.now = r.now.Add(every - 1)
	r.want("")
	r.now = r.now.Add(1)
	r.want("0:*")
	r.now = r.now.Add(100 * every)
	r.want("2:* 0:* 1:*")
}

func BenchmarkTurnOfOnePartitionAmongIdleOnes(b *testing.B) {
	group := NewGroup[*counter, string](every)
	for n := range int32(10_000) {
		group.Add(id(n), &counter{})
	}
	now := time.Unix(1000, 0)
	step := func(*Member[*counter, string], []string, bool) bool { return true }
	group.Turn(now, step)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(every)
		group.Call(id(77), "event")
		group.Turn(now, step)
	}
}
