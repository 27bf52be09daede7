package journal

import (
	"errors"
	"math/rand/v2"
	"testing"

	"laneway.dev/pkg/messages"
)

// purge does what Purgeable says. It returns the first group that is left.
func purge(t *testing.T, s *stream, x *Index) uint64 {
	t.Helper()
	bound := x.Last() + 1
	below, again := x.Purgeable(bound)
	if len(again) > 0 {
		g := messages.Group{}
		for _, id := range again {
			state, _ := x.State(id)
			g.Sections = append(g.Sections, messages.Section{Log: id, Kind: messages.SectionAgain, Sequence: state.Last})
		}
		s.groups = append(s.groups, g)
		x.Apply(uint64(len(s.groups)), g)
		var left []messages.LogID
		if below, left = x.Purgeable(bound); len(left) > 0 {
			t.Fatalf("the last entries of %v are to be appended once more", left)
		}
	}
	return below
}

// trimmed is a group that trims a log.
func trimmed(id messages.LogID, from uint64) messages.Group {
	return messages.Group{Sections: []messages.Section{{Log: id, Kind: messages.SectionTrimmed, Sequence: from}}}
}

func TestPurgedJournalHasWhatLogsNeed(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 2))
		var s stream
		x := NewIndex()
		needs := make(map[messages.LogID]uint64)
		for range 1 + random.IntN(60) {
			var g messages.Group
			for topic := range uint64(5) {
				id := messages.LogID{TopicID: topic}
				state, exists := x.State(id)
				if random.IntN(3) > 0 {
					continue
				}
				section := messages.Section{Log: id, Kind: messages.SectionNext, Sequence: state.Last + 1}
				switch {
				case !exists:
					section.Kind = messages.SectionFirst
				case random.IntN(20) == 0:
					section.Kind, section.Sequence = messages.SectionDeleted, 0
					delete(needs, id)
				case random.IntN(3) == 0:
					needs[id] = state.First + random.Uint64N(state.Last-state.First+2)
					section.Kind, section.Sequence = messages.SectionTrimmed, needs[id]
				}
				g.Sections = append(g.Sections, section)
			}
			s.groups = append(s.groups, g)
			x.Apply(uint64(len(s.groups)), g)
		}
		first := purge(t, &s, x)
		fresh := NewIndex()
		for at := first; at <= uint64(len(s.groups)); at++ {
			fresh.Apply(at, s.groups[at-1])
		}
		for topic := range uint64(5) {
			id := messages.LogID{TopicID: topic}
			want, exists := x.State(id)
			got, known := fresh.State(id)
			if exists != known || got.Last != want.Last || got.First > max(1, min(needs[id], want.Last)) || got.First > 1 && got.Begun {
				t.Fatalf("seed %d: log %d is %+v, %v, want %+v, %v from %d on", seed, topic, got, known, want, exists, needs[id])
			}
		}
	}
}

func TestALogIsKnownToBeginWithItsFirstEntryUntilThatIsPurged(t *testing.T) {
	id := messages.LogID{TopicID: 7}
	groups := []messages.Group{
		{Sections: []messages.Section{{Log: id, Kind: messages.SectionFirst, Sequence: 51}}},
		{Sections: []messages.Section{{Log: id, Kind: messages.SectionNext, Sequence: 52}}},
		{Sections: []messages.Section{{Log: id, Kind: messages.SectionNext, Sequence: 53}}},
	}
	for lost, want := range []State{{First: 51, Last: 53, Begun: true}, {First: 52, Last: 53}} {
		x := NewIndex()
		for i := lost; i < len(groups); i++ {
			x.Apply(uint64(i)+1, groups[i])
		}
		if got, _ := x.State(id); got.First != want.First || got.Last != want.Last || got.Begun != want.Begun {
			t.Errorf("without %d groups, the log is %+v, want %+v", lost, got, want)
		}
	}
	for name, purge := range map[string]func(*Index){"trimmed": func(x *Index) { x.Apply(4, trimmed(id, 52)) }, "purged": func(x *Index) { x.Begins(2) }} {
		x := NewIndex()
		for i, g := range groups {
			x.Apply(uint64(i)+1, g)
		}
		x.Begins(1)
		if got, _ := x.State(id); !got.Begun {
			t.Errorf("before it is %s, the log is %+v", name, got)
		}
		if purge(x); x.logs[id].begun || x.logs[id].first != 52 {
			t.Errorf("%s, the log is %+v", name, x.logs[id])
		}
	}
}

func TestIdleLogsDoNotHoldBackAPurge(t *testing.T) {
	const idle, groups = 100, 1000
	var s stream
	x := NewIndex()
	var first messages.Group
	for topic := range uint64(idle + 1) {
		first.Sections = append(first.Sections, messages.Section{Log: messages.LogID{TopicID: topic}, Kind: messages.SectionFirst, Sequence: 1})
	}
	s.groups = append(s.groups, first)
	x.Apply(1, first)
	for sequence := uint64(2); sequence <= groups; sequence++ {
		g := messages.Group{Sections: []messages.Section{{Kind: messages.SectionNext, Sequence: sequence}}}
		s.groups = append(s.groups, g)
		x.Apply(uint64(len(s.groups)), g)
	}
	if below, again := x.Purgeable(groups + 1); below != 1 || len(again) != 0 {
		t.Fatalf("below %d, %d again while the busy log needs all of its entries", below, len(again))
	}
	s.groups = append(s.groups, trimmed(messages.LogID{}, groups-10))
	x.Apply(groups+1, s.groups[groups])
	if first := purge(t, &s, x); first != groups-10 || len(s.groups) != groups+2 {
		t.Errorf("the purged journal begins with group %d, and ends with %d", first, len(s.groups))
	}
}

// If the last entry of a suspect log were appended again as that of any other, the log would seem to end
// there for certain, and what it has lost would be forgotten.
func TestSuspectLogStaysSuspectWhenItsLastEntryIsAppendedAgain(t *testing.T) {
	id, other := messages.LogID{TopicID: 7}, messages.LogID{TopicID: 8}
	a := NewAppender("w", Limits{Sections: 10, Bytes: 1000})
	a.Start()
	first := messages.Group{Sections: []messages.Section{{Log: id, Kind: messages.SectionFirst, Sequence: 1}, {Log: other, Kind: messages.SectionFirst, Sequence: 1}}}
	next := messages.Group{Sections: []messages.Section{{Log: other, Kind: messages.SectionNext, Sequence: 2}}}
	// Group 2 is lost. The other log has an entry after it.
	a.Step([]Event{Groups{Groups: []Placed{{1, first}, {3, next}}, Through: 3, AtEnd: true, First: 1}})
	fx := a.Step([]Event{
		Request{ID: 1, Expected: 1, Section: messages.Section{Log: id, Kind: messages.SectionAgain}},
		Request{ID: 2, Expected: 2, Section: messages.Section{Log: other, Kind: messages.SectionAgain}},
	})
	if fx.Append == nil || len(fx.Append.Group.Sections) != 2 {
		t.Fatalf("the effects are %+v", fx)
	}
	fresh := NewIndex() // of the journal after a purge
	fresh.Apply(4, fx.Append.Group)
	a.Step([]Event{Appended{Sequence: 4}})
	for _, x := range []*Index{fresh, a.Index()} {
		one, _ := x.State(id)
		two, _ := x.State(other)
		if !one.Suspect || one.Last != 1 || two.Suspect || two.Last != 2 {
			t.Errorf("the logs are %+v and %+v", one, two)
		}
	}
	fresh.Apply(5, messages.Group{Sections: []messages.Section{{Log: id, Kind: messages.SectionNext, Sequence: 2}}})
	if got, _ := fresh.State(id); got.Suspect {
		t.Errorf("after the next entry it is %+v", got)
	}
}

// A purge leaves the last entry of each log. A log of which a reader that was away finds none was deleted
// meanwhile, and the group that says so was purged.
func TestLogThatWasDeletedBeforeAPurgeIsNotKnownAnyMore(t *testing.T) {
	deleted, idle, busy := messages.LogID{TopicID: 1}, messages.LogID{TopicID: 2}, messages.LogID{TopicID: 3}
	a := NewAppender("w", Limits{Sections: 10, Bytes: 1000})
	a.Start()
	first := messages.Group{Writer: "another", Number: 1, Sections: []messages.Section{
		{Log: deleted, Kind: messages.SectionFirst, Sequence: 1, Entry: []byte("x"), Topic: "t"},
		{Log: idle, Kind: messages.SectionFirst, Sequence: 1, Entry: []byte("x"), Topic: "t"},
	}}
	a.Step([]Event{Groups{Groups: []Placed{{1, first}}, Through: 1, AtEnd: true, First: 1}})

	// The group 2 has deleted one of the logs. Then the journal was purged below the group 3.
	third := messages.Group{Writer: "another", Number: 3, Sections: []messages.Section{
		{Log: idle, Kind: messages.SectionAgain, Sequence: 1, Entry: []byte("x"), Topic: "t"},
		{Log: busy, Kind: messages.SectionFirst, Sequence: 1, Entry: []byte("x"), Topic: "t"},
	}}
	a.Step([]Event{Look{ID: 1}})
	fx := a.Step([]Event{Groups{Groups: []Placed{{3, third}}, Through: 3, AtEnd: true, First: 3}})
	if len(fx.Done) != 1 {
		t.Fatalf("%+v", fx)
	}
	for id, exists := range map[messages.LogID]bool{deleted: false, idle: true, busy: true} {
		if state, known := a.Index().State(id); known != exists {
			t.Errorf("%+v: %+v, %t", id, state, known)
		}
	}
	next := messages.Section{Log: deleted, Kind: messages.SectionNext, Entry: []byte("y")}
	fx = a.Step([]Event{Request{ID: 2, Expected: 1, Section: next}})
	for fx.Read != 0 {
		fx = a.Step([]Event{Groups{Groups: []Placed{{3, third}}, Through: 3, AtEnd: true, First: 3}})
	}
	if fx.Append != nil || len(fx.Done) != 1 || !errors.Is(fx.Done[0].Err, ErrNoLog) {
		t.Errorf("a deleted log takes an entry: %+v", fx)
	}
	if garbage, needed := a.Index().Garbage(); needed != 2 {
		t.Errorf("%d bytes are needed, and %d are not", needed, garbage)
	}
}
