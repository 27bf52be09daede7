package exhaustive

import "slices"

// Result is what came of an exploration.
type Result struct {
	States int // distinct ones
	Ends   int // of those, how many had nothing left to choose
	Steps  int // choices that were made, without those that were repeated to come back
	// Violation is nil if nothing was wrong; else Schedule tells what led to it.
	Violation error
	Schedule  []string
	Cut       bool // the limit was reached, and more states are there
}

// explorer searches the states of one scope.
type explorer struct {
	scope  Scope
	limit  int
	walker walker
	seen   map[fingerprint]struct{}
	path   []choice
	result Result
}

// Explore looks at every state of a scope, or at the first ones up to a limit; 0 is
// no limit.
func Explore(scope Scope, limit int) Result {
	x := &explorer{scope: scope, limit: limit, walker: newWalker(), seen: map[fingerprint]struct{}{}}
	x.visit(newWorld(scope, nil))
	x.result.States = len(x.seen)
	if x.result.Violation != nil {
		x.result.Schedule = x.tell()
	}
	return x.result
}

// visit explores what follows from a state. It consumes the world.
func (x *explorer) visit(w *world) {
	if !x.holds(w) {
		return
	}
	name := x.walker.of(w)
	if _, again := x.seen[name]; again {
		return
	}
	if x.limit > 0 && len(x.seen) >= x.limit {
		x.result.Cut = true
		return
	}
	x.seen[name] = struct{}{}
	all := w.choices()
	if finalOnly(all) {
		x.result.Ends++
		end := w
		if len(all) > 0 {
			end = x.again()
		}
		safely(end, end.resolve)
		if !x.holds(end) {
			return
		}
	}
	for _, c := range all {
		if w == nil {
			w = x.again()
		}
		safely(w, func() { w.do(c) })
		x.result.Steps++
		x.path = append(x.path, c)
		x.visit(w)
		if x.result.Violation != nil || x.result.Cut {
			return
		}
		x.path = x.path[:len(x.path)-1]
		w = nil
	}
}

// finalOnly says whether nothing is left that happens by itself: only faults, time
// and requests that are sent again.
func finalOnly(all []choice) bool {
	return !slices.ContainsFunc(all, func(c choice) bool {
		return c.what != disturbs && c.what != beats && c.what != sends && c.what != losesRequest
	})
}

// holds notes a violation.
func (x *explorer) holds(w *world) bool {
	if w.violation != nil {
		x.result.Violation = w.violation
	}
	return w.violation == nil
}

// again returns a world in which the path has happened.
func (x *explorer) again() *world {
	w := newWorld(x.scope, nil)
	for _, c := range x.path {
		w.do(c)
	}
	return w
}

// tell returns what happens on the path, and after it if it ends well.
func (x *explorer) tell() []string {
	var lines []string
	w := newWorld(x.scope, &lines)
	lines = nil
	for _, c := range x.path {
		safely(w, func() { w.do(c) })
	}
	if w.violation == nil {
		safely(w, w.resolve)
	}
	return lines
}

// safely makes a violation of a broken assertion.
func safely(w *world, do func()) {
	defer func() {
		if p := recover(); p != nil {
			w.violated("panic: %v", p)
		}
	}()
	do()
}
