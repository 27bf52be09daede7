package scripted

import (
	"slices"
	"time"
)

// item is something that is under way: a message, an upload, an append, an answer.
type item struct {
	kind     string
	from, to string // names of processes or clients; empty is none
	what     string // in words
	at       time.Time
	held     bool
	arrives  func()
}

func (i *item) String() string {
	text := i.what
	if i.from != "" {
		text += " from " + i.from
	}
	if i.to != "" {
		text += " to " + i.to
	}
	return text
}

// filter chooses items; an empty field chooses all.
type filter struct{ kind, from, to string }

func (f filter) matches(i *item) bool {
	return f.kind == i.kind && (f.from == "" || f.from == i.from) && (f.to == "" || f.to == i.to)
}

func (f filter) String() string {
	text := f.kind
	if f.from != "" {
		text += " from " + f.from
	}
	if f.to != "" {
		text += " to " + f.to
	}
	return text
}

// way is what is under way, in the order of sending.
type way struct {
	items []*item
	holds []filter
}

// next takes the first item that arrives by a time; nil is none.
func (w *way) next(now time.Time) *item {
	at := slices.IndexFunc(w.items, func(i *item) bool { return !i.held && !i.at.After(now) })
	if at < 0 {
		return nil
	}
	i := w.items[at]
	w.items = slices.Delete(w.items, at, at+1)
	return i
}

// take takes the held items of a filter.
func (w *way) take(f filter) (taken []*item) {
	w.items = slices.DeleteFunc(w.items, func(i *item) bool {
		if matches := i.held && f.matches(i); matches {
			taken = append(taken, i)
			return true
		}
		return false
	})
	return taken
}

// start adds something that is under way. It is held if a script wants that.
func (s *Script) start(i *item) {
	i.held = slices.ContainsFunc(s.way.holds, func(f filter) bool { return f.matches(i) })
	if i.held {
		s.Say("  held: %s", i)
	}
	s.way.items = append(s.way.items, i)
}
