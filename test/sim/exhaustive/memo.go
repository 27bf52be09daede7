package exhaustive

import (
	"fmt"
	"reflect"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// memo keeps each distinct thing of an exploration once, such as a state, a message or an
// entry. A world then consists of a few pointers, and is cheap to copy, to compare and to
// name.
//
// The cores are pure, so a core runs once for each pair of a state and an event. Every other
// world in which the same event meets the same state continues with the known result.
type memo struct {
	walker   walker
	roots    map[any]*state
	states   map[fingerprint]*state
	messages map[string]*world.Message
	answers  map[world.Answer]*reply
	appends  map[appendKey]*appending
	nodes    map[nodeKey]*world.Node
	checks   map[fingerprint]*seen
	sighted  map[sighting]*seen
	stages   map[*world.Message][]*world.Message
	stored   map[*world.Message]check.Stored
	branches int // states and events: how often a core has run
}

func newMemo(archives bool) *memo {
	return &memo{
		walker: newWalker(archives), roots: map[any]*state{}, states: map[fingerprint]*state{},
		messages: map[string]*world.Message{}, answers: map[world.Answer]*reply{}, appends: map[appendKey]*appending{}, nodes: map[nodeKey]*world.Node{},
		checks: map[fingerprint]*seen{}, sighted: map[sighting]*seen{}, stages: map[*world.Message][]*world.Message{}, stored: map[*world.Message]check.Stored{},
	}
}

// state is one that a core can be in. It is the core's machine.
type state struct {
	id   int
	memo *memo
	make func() world.Core // of the state that a core starts in
	from *state            // of any other, with what led here
	by   event
	core world.Core // in this state, until it is needed to continue
	next map[event]branch
}

// event is what a core takes, and when. Two that are equal are the same to it.
type event struct {
	at   time.Duration
	what world.Event
}

// branch is what comes of an event.
type branch struct {
	to *state
	fx *world.Effects
}

// root returns the state in which a core starts; what is made depends on the key only.
func (m *memo) root(key any, build func() world.Core) *state {
	s, known := m.roots[key]
	if !known {
		s = m.intern(&state{memo: m, make: build, core: build()})
		m.roots[key] = s
	}
	return s
}

// Step implements world.Machine.
func (s *state) Step(now time.Time, events []world.Event) (world.Machine, *world.Effects) {
	if len(events) < 2 {
		e := event{at: now.Sub(world.Beginning)}
		if len(events) == 1 {
			e.what = events[0]
		}
		b := s.memo.step(s, e)
		return b.to, b.fx
	}
	panic("several events in one step are not explored")
}

// step returns what comes of an event in a state.
func (m *memo) step(s *state, e event) branch {
	if known, ok := s.next[e]; ok {
		return known
	}
	m.branches++
	core := s.take()
	out := e.happen(core)
	fx := &world.Effects{Work: &out.Work}
	for _, envelope := range out.Send {
		fx.Send = append(fx.Send, world.Envelope{Subject: envelope.Subject, Message: m.message(envelope.Message)})
	}
	b := branch{m.intern(&state{memo: m, from: s, by: e, core: core}), fx}
	if s.next == nil {
		s.next = map[event]branch{}
	}
	s.next[e] = b
	return b
}

// take returns a core in this state, for one use: a core cannot be copied. If the core of the
// state was used before, take builds another one and repeats the events that lead to the
// state.
func (s *state) take() world.Core {
	if core := s.core; core != nil {
		s.core = nil
		return core
	}
	if s.from == nil {
		return s.make()
	}
	core := s.from.take()
	s.by.happen(core)
	return core
}

func (e event) happen(core world.Core) *world.Output {
	var events []world.Event
	if e.what != nil {
		events = []world.Event{e.what}
	}
	out := &world.Output{}
	core.Step(world.Beginning.Add(e.at), events, out)
	return out
}

// intern returns the state that is known already, if there is one.
func (m *memo) intern(s *state) *state {
	name := m.walker.of(reflect.ValueOf(&s.core))
	known, ok := m.states[name]
	if !ok {
		s.id = len(m.states) + 1
		m.states[name] = s
		return s
	}
	if known.core == nil {
		known.core = s.core
	}
	return known
}

func (m *memo) message(message messages.Message) *world.Message {
	data := messages.Encode(message)
	return find(m.messages, string(data), func(id int) *world.Message { return &world.Message{ID: id, Data: data} })
}

// results returns the results of the uploads that a request to stage or a job starts; none if the
// message is another one.
func (m *memo) results(message *world.Message) []*world.Message {
	staged, known := m.stages[message]
	if known {
		return staged
	}
	switch request := message.Decode().(type) {
	case messages.Archive:
		staged = append(staged, m.message(messages.Archived{
			Partition: request.Partition, Base: request.Base.Manifest, Records: request.To.Offset - request.Base.End.Offset,
			History: messages.History{Manifest: fmt.Sprintf("%s/%d", request.Base.Manifest, request.To.Sequence), End: request.To},
		}))
	case messages.Stage:
		for i := range request.Batches {
			b := &request.Batches[i]
			batch := check.ReadBatch(b.Payload)
			extent := messages.Extent{Key: batch.String()}
			result := m.message(messages.Staged{
				Partition: request.Partition, Epoch: request.Epoch, Batches: []messages.StagedBatch{{Submission: b.Submission, Extent: extent}},
			})
			m.stored[result] = check.Stored{Extent: extent, Batch: batch}
			staged = append(staged, result)
		}
	}
	m.stages[message] = staged
	return staged
}

// reply is an answer on its way to a client.
type reply struct {
	id     int
	answer world.Answer
}

func (m *memo) answer(a world.Answer) *reply {
	return find(m.answers, a, func(id int) *reply { return &reply{id, a} })
}

// appending is an append on its way to the log.
type appending struct {
	id int
	by string
	*replicator.Append
}

type appendKey struct {
	by       string
	expected uint64
	data     string
}

func (m *memo) appending(by string, a *replicator.Append) *appending {
	return find(m.appends, appendKey{by, a.Expected, string(a.Data)}, func(id int) *appending { return &appending{id, by, a} })
}

type nodeKey struct {
	before   *world.Node
	by, data string
}

func (m *memo) node(n world.Node) *world.Node {
	return find(m.nodes, nodeKey{n.Before, n.By, string(n.Data)}, func(id int) *world.Node {
		n.ID = id
		return &n
	})
}

// seen is what the checks have seen. Worlds share it.
type seen struct {
	id    int
	state *check.State
}

// sighting is something that is seen after all else.
type sighting struct {
	before *seen
	at     time.Duration
	what   check.Sighting
}

// see shows something to the checks.
func (m *memo) see(before *seen, now time.Time, what check.Sighting) (*seen, error) {
	key := sighting{before, now.Sub(world.Beginning), what}
	if after, known := m.sighted[key]; known {
		return after, nil
	}
	after, state := before, before.state
	if !check.Pure(what) {
		state = state.Clone()
	}
	if err := state.See(now, what); err != nil {
		return before, err
	}
	if state != before.state {
		after = m.check(state)
	}
	m.sighted[key] = after
	return after, nil
}

// check returns what is known already and equal, if there is such.
func (m *memo) check(state *check.State) *seen {
	name := m.walker.of(reflect.ValueOf(state).Elem())
	return find(m.checks, name, func(id int) *seen { return &seen{id, state} })
}

// find returns what is known under a key, or makes it.
func find[K comparable, V any](all map[K]V, key K, build func(id int) V) V {
	v, known := all[key]
	if !known {
		v = build(len(all) + 1)
		all[key] = v
	}
	return v
}
