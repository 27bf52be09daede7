package journal

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"laneway.dev/pkg/messages"
)

// stream is the journal, and what is on its way to it.
type stream struct {
	groups []messages.Group // at the sequences from 1 on
	late   []Append         // appends that have no answer, and may arrive
}

// append is the compare-and-set of JetStream.
func (s *stream) append(a Append) bool {
	if uint64(len(s.groups)) != a.Expected {
		return false
	}
	g := a.Group
	g.Sections = slices.Clone(g.Sections)
	s.groups = append(s.groups, g)
	return true
}

// index is what a reader that begins now knows.
func (s *stream) index() *Index {
	x := NewIndex()
	for i, g := range s.groups {
		x.Apply(uint64(i)+1, g)
	}
	return x
}

// writer is an Appender with its requests.
type writer struct {
	*Appender
	stream *stream
	append *Append
	read   uint64
	end    uint64 // of the journal, when the read was asked for: it may be answered as of then
	asked  map[uint64]Request
	looks  map[uint64]uint64 // with the end of the journal at that time
	done   map[uint64]Done
}

func (w *writer) take(t *testing.T, fx Effects) {
	t.Helper()
	if fx.Append != nil {
		if w.append != nil || w.read != 0 {
			t.Fatal("an append while another one, or a read, is under way")
		}
		w.append = fx.Append
	}
	if fx.Read != 0 {
		if w.append != nil || w.read != 0 {
			t.Fatal("a read while another one, or an append, is under way")
		}
		w.read, w.end = fx.Read, uint64(len(w.stream.groups))
	}
	for _, d := range fx.Done {
		if _, twice := w.done[d.ID]; twice || d.ID == 0 {
			t.Fatalf("request %d is answered twice: %+v", d.ID, d)
		}
		w.done[d.ID] = d
		if from, is := w.looks[d.ID]; is && d.Err == nil && w.Index().Last() < from {
			t.Fatalf("a look from group %d knows the journal up to group %d", from, w.Index().Last())
		}
	}
}

// world runs some writers over one stream.
type world struct {
	*testing.T
	random  *rand.Rand
	stream  stream
	writers []*writer
	ids     uint64
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{T: t, random: rand.New(rand.NewPCG(seed, 1))}
	for i := range 3 {
		a := &writer{
			stream: &w.stream, Appender: NewAppender(fmt.Sprint("writer", i), Limits{Sections: 1 + w.random.IntN(4), Bytes: 64}),
			asked: make(map[uint64]Request), looks: make(map[uint64]uint64), done: make(map[uint64]Done),
		}
		a.take(t, a.Start())
		w.writers = append(w.writers, a)
	}
	return w
}

// request asks for something that is mostly possible.
func (w *world) request(a *writer) {
	w.ids++
	id := messages.LogID{TopicID: uint64(w.random.IntN(4))}
	s := messages.Section{Log: id, Kind: messages.SectionNext}
	known, exists := a.Index().State(id)
	switch n := w.random.IntN(20); {
	case !exists || n == 0:
		s.Kind = messages.SectionFirst
	case n == 1:
		s.Kind = messages.SectionDeleted
	case n == 2:
		s.Kind = messages.SectionSealed
	case n == 3:
		s.Kind = messages.SectionAgain
	case n == 4:
		s.Kind = messages.SectionCopied
	case n == 5:
		s.Kind, s.Sequence = messages.SectionTrimmed, 1+w.random.Uint64N(known.Last+2)
	}
	r := Request{ID: w.ids, Expected: known.Last, Section: s}
	if s.Kind.HasEntry() {
		r.Section.Entry, r.Section.Topic = fmt.Append(nil, w.ids), fmt.Sprint("topic ", id.TopicID)
		r.Section.Stage = messages.SectionStage(w.random.IntN(3)) // not that of a sealed one
	}
	if w.random.IntN(10) == 0 {
		r.Expected++
	}
	if s.Kind == messages.SectionDeleted && w.random.IntN(2) == 0 {
		r.Expected = 0
	}
	a.asked[r.ID] = r
	a.take(w.T, a.Step([]Event{r}))
}

// answer lets what a writer waits for succeed, fail, or remain without an answer.
func (w *world) answer(a *writer, fail bool) {
	switch {
	case a.append != nil:
		sent := *a.append
		a.append = nil
		switch n := w.random.IntN(10); {
		case fail && n == 0:
			w.stream.late = append(w.stream.late, sent)
			a.take(w.T, a.Step([]Event{AppendFailed{}}))
		case fail && n == 1:
			w.stream.append(sent)
			a.take(w.T, a.Step([]Event{AppendFailed{}}))
		case w.stream.append(sent):
			a.take(w.T, a.Step([]Event{Appended{Sequence: uint64(len(w.stream.groups))}}))
		default:
			a.take(w.T, a.Step([]Event{AppendFailed{Moved: true}}))
		}
	case a.read != 0:
		from := a.read
		a.read = 0
		end := a.end
		if w.random.IntN(2) == 0 {
			end = uint64(len(w.stream.groups))
		}
		read := Groups{Through: min(end, from+2)}
		for at := from; at <= read.Through; at++ {
			read.Groups = append(read.Groups, Placed{at, w.stream.groups[at-1]})
		}
		read.AtEnd = read.Through == end
		a.take(w.T, a.Step([]Event{read}))
	}
}

// late lets an append arrive that was answered as unknown.
func (w *world) late() {
	if n := len(w.stream.late); n > 0 {
		i := w.random.IntN(n)
		w.stream.append(w.stream.late[i])
		w.stream.late = slices.Delete(w.stream.late, i, i+1)
	}
}

func (w *world) run(steps int) {
	for range steps {
		a := w.writers[w.random.IntN(len(w.writers))]
		switch n := w.random.IntN(10); {
		case n < 4:
			w.request(a)
		case n == 4 && w.ids > 0:
			id := 1 + w.random.Uint64N(w.ids)
			if _, done := a.done[id]; !done {
				a.take(w.T, a.Step([]Event{Withdraw{id}}))
			}
		case n == 5:
			w.late()
		case n == 6:
			w.ids++
			a.looks[w.ids] = uint64(len(w.stream.groups))
			a.take(w.T, a.Step([]Event{Look{w.ids}}))
		default:
			w.answer(a, true)
		}
	}
	for range 1000 {
		for _, a := range w.writers {
			w.answer(a, false)
		}
	}
	for len(w.stream.late) > 0 {
		w.late()
	}
}

// check compares the answers with the journal.
func (w *world) check() {
	type place struct{ sequence, group uint64 }
	found := make(map[string]place) // entries by their content, which is the id of the request
	ends := make(map[messages.LogID]State)
	for i, g := range w.stream.groups {
		for _, s := range g.Sections {
			end, exists := ends[s.Log]
			switch {
			case s.Kind == messages.SectionDeleted:
				delete(ends, s.Log)
				continue
			case s.Kind == messages.SectionSealed:
				end.Stage = messages.StageSealed
				ends[s.Log] = end
				continue
			case s.Kind == messages.SectionCopied && exists && end.Stage == messages.StageCopying:
				end.Stage = messages.StageCopied
				ends[s.Log] = end
				continue
			case s.Kind == messages.SectionFirst && exists, s.Kind == messages.SectionTrimmed && exists && end.Stage != messages.StageSealed:
				continue
			case end.Stage == messages.StageSealed && s.Kind != messages.SectionAgain, s.Kind != messages.SectionFirst && !exists,
				s.Kind == messages.SectionNext && s.Sequence != end.Last+1,
				s.Kind == messages.SectionAgain && (s.Sequence != end.Last || s.Stage != end.Stage || s.Topic != end.Topic),
				s.Kind == messages.SectionCopied:
				w.Fatalf("group %d: %+v after %+v", i+1, s, end)
			}
			if _, twice := found[string(s.Entry)]; twice {
				w.Fatalf("%s is in the journal twice", s.Entry)
			}
			found[string(s.Entry)] = place{s.Sequence, uint64(i) + 1}
			ends[s.Log] = State{Last: s.Sequence, Topic: s.Topic, Stage: s.Stage}
		}
	}
	for _, a := range w.writers {
		for id := range a.looks {
			if _, done := a.done[id]; !done {
				w.Fatalf("look %d has no answer", id)
			}
		}
		for id, r := range a.asked {
			d, done := a.done[id]
			if !done {
				w.Fatalf("request %+v has no answer", r)
			}
			if !r.Section.Kind.HasEntry() {
				continue
			}
			at, is := found[fmt.Sprint(id)]
			switch {
			case d.Err == nil && (!is || at != place{d.Sequence, d.Group}):
				w.Fatalf("%+v was answered with %+v, and is at %+v (%v)", r, d, at, is)
			case d.Err != nil && !errors.Is(d.Err, ErrUnknown) && is:
				w.Fatalf("%+v was answered with %+v, and is at %+v", r, d, at)
			}
		}
	}
}

func TestEverySectionIsAppendedOnceOrRefused(t *testing.T) {
	for seed := range uint64(3000) {
		w := newWorld(t, seed)
		w.run(400)
		w.check()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A writer knows of the journal what a new reader finds in it.
func TestWritersKnowTheJournal(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		w.run(300)
		want := w.stream.index()
		for _, a := range w.writers {
			a.take(t, a.Step([]Event{AppendFailed{}})) // so that it reads to the end
			for range 200 {
				w.answer(a, false)
			}
			for topic := range uint64(4) {
				id := messages.LogID{TopicID: topic}
				got, known := a.Index().State(id)
				expected, exists := want.State(id)
				if got != expected || known != exists || !slices.Equal(placesOf(a.Index(), id), placesOf(want, id)) {
					t.Fatalf("seed %d: %+v, %v, want %+v, %v", seed, got, known, expected, exists)
				}
			}
		}
	}
}

func placesOf(x *Index, id messages.LogID) []uint64 {
	_, places, _ := x.Places(id, 1, 1000, math.MaxInt64)
	return places
}

// A server that was restored from a copy has lost the end of a journal. Others have appended at least as
// much since.
func TestWriterNoticesThatAJournalHasAnotherEnd(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		w.run(100)
		a, others := w.writers[0], w.writers[1:]
		a.take(t, a.Step([]Event{AppendFailed{}}))
		for range 100 {
			w.answer(a, false)
		}
		known := len(w.stream.groups)
		w.stream.groups = w.stream.groups[:known-w.random.IntN(known/2+1)]
		for _, o := range others {
			o.Appender, o.append, o.read = NewAppender(o.writer+" again", o.limits), nil, 0
			o.take(t, o.Start())
		}
		for topic := uint64(9); len(w.stream.groups) < known+w.random.IntN(3); topic++ {
			w.stream.groups = append(w.stream.groups, messages.Group{Writer: "another", Number: topic, Sections: []messages.Section{
				{Log: messages.LogID{TopicID: topic}, Kind: messages.SectionFirst, Sequence: 1, Entry: []byte("x"), Topic: "t"},
			}})
		}
		a.take(t, a.Step([]Event{AppendFailed{}}))
		for range 200 {
			w.answer(a, false)
		}
		want := w.stream.index()
		if a.Index().Last() != want.Last() || !maps.Equal(maps.Collect(a.Index().All()), maps.Collect(want.All())) {
			t.Fatalf("seed %d: the writer knows %v of the journal, want %v", seed, maps.Collect(a.Index().All()), maps.Collect(want.All()))
		}
	}
}
