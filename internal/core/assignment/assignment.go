// Package assignment decides which instance of a role owns which log.
//
// Each role has one record. Any instance of the role may replace it by compare-and-set, so what is to
// be written MUST follow from the record, the members and the number of logs alone. It is the same
// whoever decides, and in whatever order the members are known.
//
// Nothing here is needed for safety, which comes from the compare-and-set of the logs and from the
// epochs in them. An assignment gives progress, balance and a quick take-over.
package assignment

import (
	"cmp"
	"slices"
)

// Rule is the version of the rule by which [Record.Next] decides. Only members with the highest one among
// all members replace a record, or two releases would undo what the other has done.
const Rule = 1

// Record says who owns each log. A record is immutable: what changes it returns another one.
type Record struct {
	Version uint64 // of each record is one above that of the record that it has replaced
	By      string // the instance that has written it
	Logs    []Log  // by their numbers
}

// Log says who owns a log.
type Log struct {
	Owner string // empty if the log had none yet
	// Epoch is that in which the owner got the log. It rises whenever the owner changes, and whenever an
	// owner asks for a higher one, to the time of day in Unix seconds at least.
	Epoch uint64
	// Next is who gets the log once it is ready and the owner gives it away; empty if no hand-over is
	// under way.
	Next string
	// Failed are the instances that could not work on the log, and have not said that they can since, sorted.
	Failed []string
}

// Member is an instance that is there.
type Member struct {
	Instance string
	Rule     uint32 // the version of the rule that the instance has
	Draining bool   // whether the instance hands over what it owns, and is to get nothing
	Silent   bool   // whether the instance may be gone: it keeps what it has, and is to get nothing
}

// OwnedBy reports whether an instance owns the log and has not given it up.
func (l Log) OwnedBy(instance string) bool {
	return l.Owner == instance && !slices.Contains(l.Failed, instance)
}

// future returns who owns the log, or gets it in the hand-over that is under way.
func (l *Log) future() string { return cmp.Or(l.Next, l.Owner) }

// Next returns r with the logs where they should be, and whether that differs. It differs only if a rule is
// broken:
//
//   - A log whose owner is not a member, or has failed on it, goes to another member at once. If a hand-over
//     is under way, that is the one that prepares for it.
//   - A hand-over to who is no member or drains ends.
//   - What a draining member owns is handed over.
//   - If some member has two logs more than another one, it hands one over. That is only for balance, so it
//     waits until it has been calm, and no member takes part in two of these at a time.
//
// Each log goes to the member with the fewest logs that does not drain and has not failed on it. If all of
// these have failed on it, they begin anew. A log moves only if a rule is broken for it. If all members drain,
// logs stay where they are.
func (r Record) Next(members []Member, logs int, calm bool) (next Record, differs bool) {
	p := newPlan(r, members, logs)
	p.replaceLost()
	p.endHandOvers()
	p.drain()
	if calm {
		p.balance()
	}
	r.Logs = p.logs
	return r, p.differs
}

// May reports whether an instance with the rule of this package may replace a record among these members.
func May(members []Member) bool {
	return !slices.ContainsFunc(members, func(m Member) bool { return m.Rule > Rule })
}

// plan is a record that is being made.
type plan struct {
	logs    []Log
	differs bool
	takers  []string       // the members that may get logs, sorted
	members map[string]int // how many logs each member has, or gets
	drains  map[string]bool
}

func newPlan(r Record, members []Member, logs int) *plan {
	p := &plan{logs: slices.Clone(r.Logs), members: make(map[string]int), drains: make(map[string]bool)}
	for len(p.logs) < logs {
		p.logs = append(p.logs, Log{})
	}
	for _, m := range members {
		p.members[m.Instance] = 0
		switch {
		case m.Silent:
		case m.Draining:
			p.drains[m.Instance] = true
		default:
			p.takers = append(p.takers, m.Instance)
		}
	}
	slices.Sort(p.takers)
	p.takers = slices.Compact(p.takers)
	for n := range p.logs {
		p.count(p.logs[n].future(), 1)
	}
	return p
}

func (p *plan) count(instance string, by int) {
	if _, is := p.members[instance]; is {
		p.members[instance] += by
	}
}

// set replaces what the record says of a log.
func (p *plan) set(n int, l Log) {
	p.count(p.logs[n].future(), -1)
	p.count(l.future(), 1)
	p.logs[n] = l
	p.differs = true
}

func (p *plan) takes(instance string) bool {
	_, found := slices.BinarySearch(p.takers, instance)
	return found
}

// fewest returns the taker with the fewest logs that may have this one; empty if there is none.
func (p *plan) fewest(may func(instance string) bool) (best string) {
	for _, t := range p.takers {
		if may(t) && (best == "" || p.members[t] < p.members[best]) {
			best = t
		}
	}
	return best
}

// replaceLost gives a log to another member if its owner is gone or has failed on it.
func (p *plan) replaceLost() {
	for n, l := range p.logs {
		_, there := p.members[l.Owner]
		failed := slices.Contains(l.Failed, l.Owner)
		if there && !failed {
			continue
		}
		l.Failed = p.present(l.Failed)
		to := l.Next
		if !p.takes(to) || slices.Contains(l.Failed, to) {
			to = p.fewest(func(t string) bool { return !slices.Contains(l.Failed, t) })
		}
		tried := l.Failed
		if to == "" { // all have failed on it
			to, tried = p.fewest(func(t string) bool { return t != l.Owner }), nil
		}
		if to == "" && failed && p.takes(l.Owner) {
			to = l.Owner // it is the only one
		}
		if to != "" {
			p.set(n, Log{Owner: to, Epoch: l.Epoch + 1, Failed: tried})
		}
	}
}

// present returns those of some instances that are members. The names of others mean nothing any more, and would
// gather in the record with each restart.
func (p *plan) present(instances []string) []string {
	return slices.DeleteFunc(slices.Clone(instances), func(instance string) bool {
		_, there := p.members[instance]
		return !there
	})
}

// endHandOvers ends hand-overs to who cannot take over.
func (p *plan) endHandOvers() {
	for n, l := range p.logs {
		if l.Next != "" && !p.takes(l.Next) {
			l.Next = ""
			p.set(n, l)
		}
	}
}

// drain begins the hand-overs of what draining members own.
func (p *plan) drain() {
	for n, l := range p.logs {
		if !p.drains[l.Owner] || l.Next != "" {
			continue
		}
		if l.Next = p.fewest(func(t string) bool { return !slices.Contains(l.Failed, t) }); l.Next != "" {
			p.set(n, l)
		}
	}
}

// balance begins hand-overs from those with the most logs to those with the fewest. As long as a member has
// more than an even share, only such members give, and as long as one has less, only such ones take: else
// more logs would move than necessary.
func (p *plan) balance() {
	if len(p.takers) == 0 {
		return
	}
	busy := make(map[string]bool) // who takes part in a hand-over
	for _, l := range p.logs {
		if l.Next != "" {
			busy[l.Owner], busy[l.Next] = true, true
		}
	}
	for p.balanceOne(busy) {
	}
}

// balanceOne begins one hand-over, and reports whether there was one to begin.
func (p *plan) balanceOne(busy map[string]bool) bool {
	byLoad := slices.Clone(p.takers)
	slices.SortStableFunc(byLoad, func(a, b string) int { return p.members[b] - p.members[a] })
	least, most := len(p.logs)/len(byLoad), (len(p.logs)+len(byLoad)-1)/len(byLoad) // of an even share
	some := p.members[byLoad[0]] > most
	few := p.members[byLoad[len(byLoad)-1]] < least
	for _, from := range byLoad {
		may := func(to string) bool { return !busy[to] && (!few || p.members[to] < least) }
		if !busy[from] && (!some || p.members[from] > most) && p.relieve(from, may, busy) {
			return true
		}
	}
	return false
}

// relieve begins the hand-over of one log of a member, to one that may take it and has two less. It reports
// whether there is such a log.
func (p *plan) relieve(from string, may func(to string) bool, busy map[string]bool) bool {
	for n, l := range p.logs {
		if l.Owner != from {
			continue
		}
		to := p.fewest(func(t string) bool { return may(t) && !slices.Contains(l.Failed, t) })
		if to != "" && p.members[from] >= p.members[to]+2 {
			l.Next = to
			busy[from], busy[to] = true, true
			p.set(n, l)
			return true
		}
	}
	return false
}
