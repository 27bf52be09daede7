package exhaustive

import "fmt"

// Result is what came of an exploration.
type Result struct {
	States int // distinct ones
	Ends   int // of those, how many had nothing left to choose
	Steps  int // choices that were made
	// Branches is the number of runs of a core. The results of all other steps were
	// known already.
	Branches int
	// Violation is nil if nothing was wrong; else Schedule is what led to it.
	Violation error
	Schedule  []string
	Cut       bool // the limit was reached, and more states are there
}

// explorer searches the states of one scope.
type explorer struct {
	scope  Scope
	limit  int
	memo   *memo
	seen   map[fingerprint]struct{} // of worlds, those too in which faults have ended
	text   []byte                   // of the last name
	path   []choice
	levels []*level // of the path
	end    schedule // one in which faults end
	result Result
}

// level is kept for its memory.
type level struct {
	schedule schedule
	choices  []choice
}

// Explore visits every state of a scope, or at most limit states; 0 means no limit.
func Explore(scope Scope, limit int) Result {
	x := &explorer{scope: scope, limit: limit, memo: newMemo(scope.Archive), seen: map[fingerprint]struct{}{}}
	s := newSchedule(x.memo, &x.scope, nil)
	x.result.Violation = safely(func() { x.visit(s) })
	x.result.Branches = x.memo.branches
	if x.result.Violation != nil {
		x.result.Schedule = x.story()
	}
	return x.result
}

// visit explores what follows from a state.
func (x *explorer) visit(s *schedule) {
	must(s)
	if x.again(s) || x.result.Cut {
		return
	}
	x.result.States++
	x.result.Cut = x.result.States == x.limit
	if len(x.levels) == len(x.path) {
		x.levels = append(x.levels, &level{})
	}
	l := x.levels[len(x.path)]
	var final bool
	if l.choices, final = s.choices(l.choices[:0]); final {
		x.result.Ends++
		x.end.become(s)
		x.end.resolve(x.again)
		must(&x.end)
	}
	for _, c := range l.choices {
		x.path = append(x.path, c)
		l.schedule.become(s)
		l.schedule.do(c)
		x.result.Steps++
		x.visit(&l.schedule)
		x.path = x.path[:len(x.path)-1]
	}
}

// again reports whether a world was met before.
func (x *explorer) again(s *schedule) bool {
	x.text = s.name(x.text[:0])
	name := sum(x.text)
	_, again := x.seen[name]
	x.seen[name] = struct{}{}
	return again
}

// story returns what happens on the path, and after it if it ends well.
func (x *explorer) story() []string {
	var lines []string
	s := newSchedule(x.memo, &x.scope, &lines)
	lines = nil
	err := safely(func() {
		for _, c := range x.path {
			s.do(c)
			must(s)
		}
		s.resolve(nil)
	})
	if err != nil {
		lines = append(lines, err.Error())
	}
	return lines
}

// violation is a panic that leaves an exploration.
type violation struct{ error }

// must ends an exploration if the world has a violation.
func must(s *schedule) {
	if s.Violation != nil {
		panic(violation{s.Violation})
	}
}

// safely returns the violation that ends what is done. A broken assertion is one.
func safely(do func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case violation:
			err = p.error
		default:
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	do()
	return nil
}
