package member_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
)

const (
	ttl  = 2 * time.Second
	tick = 20 * time.Millisecond
)

// world is a bucket and the members that use it. Requests and answers are late or lost, members die, freeze
// and are cut off, machines are suspended, and the bucket loses its leader.
type world struct {
	*testing.T
	r     *rand.Rand
	seed  uint64
	logs  int
	now   time.Duration
	quiet bool // whether nothing goes wrong any more

	keys      map[string]*stored
	record    assignment.Record
	revision  uint64        // of the record
	revisions uint64        // that were given out
	down      time.Duration // until when the bucket has no leader
	late      []*request

	instances []*instance
	named     int
	epochs    map[member.Owned]string // who got a log in an epoch
	wrote     time.Duration           // the last time that the record was replaced
	writes    int                     // that have arrived
	refused   int                     // renewals
	remade    bool                    // whether the bucket was lost, or restored when some had seen more of it
	restored  bool                    // whether the record was restored
	trace     func(format string, args ...any)
}

type stored struct {
	found   member.Found
	expires time.Duration
	created time.Duration
}

// instance is a member with its machine.
type instance struct {
	name    string
	core    *member.Core
	events  []member.Event
	dead    bool
	frozen  time.Duration // until then
	cut     time.Duration // until then nothing that it sends arrives, and it receives nothing
	asleep  time.Duration // how long its machine was suspended
	wall    time.Duration // by how much its clock is wrong
	set     bool          // whether that changes
	stepAt  time.Duration
	pending map[string]*request
	leaving bool
}

// request is on its way to the bucket, or its answer on its way back.
type request struct {
	from   *instance
	kind   string
	effect any
	at     time.Duration // when it arrives
	failAt time.Duration // when its sender gives up
	answer member.Event  // nil before it was handled
	over   bool          // whether its sender has given up
}

func newWorld(t *testing.T, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	return &world{
		T: t, r: r, seed: seed, logs: 1 + r.IntN(12), keys: make(map[string]*stored), epochs: make(map[member.Owned]string),
		trace: func(string, ...any) {},
	}
}

func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d))) }

func (w *world) fail(format string, args ...any) {
	w.Helper()
	w.Fatalf("seed %d, %s: %s", w.seed, w.now, fmt.Sprintf(format, args...))
}

func (w *world) start() {
	w.named++
	name := fmt.Sprintf("i%02d", w.r.IntN(100)) + fmt.Sprintf("-%03d", w.named)
	i := &instance{name: name, core: member.New(member.Settings{Instance: name, Logs: w.logs, TTL: ttl}), pending: make(map[string]*request)}
	i.wall = w.upTo(time.Hour)
	w.instances = append(w.instances, i)
}

// clock returns what the clocks of a machine show.
func (w *world) clock(i *instance) member.Time {
	return member.Time{Mono: time.Hour + w.now - i.asleep, Wall: time.Unix(1e9, 0).Add(w.now + i.wall)}
}

func (w *world) alive() (alive []*instance) {
	for _, i := range w.instances {
		if !i.dead {
			alive = append(alive, i)
		}
	}
	return alive
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += tick {
		if !w.quiet {
			w.trouble()
		}
		w.expire()
		w.deliver()
		for _, i := range w.alive() {
			if w.now >= i.frozen && w.now >= i.stepAt {
				w.step(i)
			}
		}
		w.onlyOneMay()
	}
}

// trouble lets something go wrong at times.
func (w *world) trouble() {
	alive := w.alive()
	if len(alive) < 2 || len(alive) < 5 && w.chance(300) {
		w.start()
		return
	}
	i := alive[w.r.IntN(len(alive))]
	what := w.r.IntN(1200)
	if what <= 17 {
		w.trace("trouble %d for %s", what, i.name)
	}
	switch what {
	case 0, 1:
		i.dead = true
	case 2, 3, 4:
		i.frozen = w.now + w.upTo(8*time.Second)
	case 5:
		if !i.set {
			d := w.upTo(8 * time.Second)
			i.frozen, i.asleep = w.now+d, i.asleep+d
		}
	case 6, 7:
		i.cut = w.now + w.upTo(8*time.Second)
	case 8, 9:
		w.down = w.now + w.upTo(6*time.Second)
	case 10:
		clear(w.keys) // a leader that was away for long expires all at once
	case 11, 12:
		i.leaving = true
		i.events = append(i.events, member.Drain{})
	case 13:
		if i.asleep == 0 { // one of its clocks tells the truth
			i.wall, i.set = i.wall+w.upTo(10*time.Second)-5*time.Second, true
		}
	case 14, 15, 16, 17:
		w.ask(i)
	}
}

// ask lets an actor of an instance ask for something.
func (w *world) ask(i *instance) {
	owned := i.core.Owned()
	if len(owned) == 0 {
		return
	}
	o := owned[w.r.IntN(len(owned))]
	switch w.r.IntN(3) {
	case 0:
		i.events = append(i.events, member.Raise{Log: o.Log, Above: o.Epoch + uint64(w.r.IntN(3))})
	case 1:
		i.events = append(i.events, member.GiveUp(o))
		i.events = append(i.events, member.Able{Log: w.r.IntN(w.logs)})
	case 2:
		i.events = append(i.events, member.Keep{Log: o.Log})
	}
}

func (w *world) expire() {
	for name, k := range w.keys {
		if w.now >= k.expires && w.now >= w.down {
			delete(w.keys, name)
		}
	}
}

func (w *world) step(i *instance) {
	i.stepAt = w.now + ttl/10
	events := i.events
	for _, e := range events {
		w.trace("%s gets %T %+v", i.name, e, e)
	}
	i.events = nil
	fx := i.core.Step(w.clock(i), events)
	if fx.Renew != nil {
		w.send(i, "renew", *fx.Renew)
	}
	if fx.Look {
		w.send(i, "look", nil)
	}
	if fx.Write != nil {
		w.send(i, "write", *fx.Write)
	}
	record := i.core.Record()
	for _, o := range i.core.Owned() { // its actors hand over what another one is to get
		if to := record.Logs[o.Log].Next; to != "" && (w.quiet || w.chance(3)) {
			i.events = append(i.events, member.GiveAway{Log: o.Log, To: to})
		}
	}
	if i.leaving && len(i.core.Owned()) == 0 && w.chance(10) {
		i.dead = true
		delete(w.keys, i.name)
	}
}

func (w *world) send(i *instance, kind string, effect any) {
	if i.pending[kind] != nil {
		w.fail("%s asks for a second %s", i.name, kind)
	}
	q := &request{from: i, kind: kind, effect: effect, at: w.now + w.delay(), failAt: w.now + ttl/3}
	i.pending[kind] = q
	if w.now >= i.cut {
		w.late = append(w.late, q)
	}
}

// delay returns how long a message is on its way: most often not long.
func (w *world) delay() time.Duration {
	if !w.quiet && w.chance(30) {
		return w.upTo(3 * time.Second)
	}
	return w.upTo(30 * time.Millisecond)
}

// deliver lets requests and answers arrive.
func (w *world) deliver() {
	for _, q := range slices.Clone(w.late) {
		if q.at > w.now {
			continue
		}
		if q.answer != nil { // the answer is there
			w.drop(q)
			if !q.over && w.now >= q.from.cut {
				q.from.events = append(q.from.events, q.answer)
				delete(q.from.pending, q.kind)
			}
			continue
		}
		if w.now < w.down {
			if w.chance(2) {
				w.drop(q)
			} else {
				q.at = w.down
			}
			continue
		}
		q.answer, q.at = w.handle(q), w.now+w.delay()
		w.trace("%s %s %+v -> %+v", q.from.name, q.kind, q.effect, q.answer)
		if !w.quiet && w.chance(30) {
			w.drop(q) // the answer is lost
		}
	}
	for _, i := range w.alive() {
		for _, kind := range slices.Sorted(maps.Keys(i.pending)) {
			if q := i.pending[kind]; w.now >= q.failAt && w.now >= i.frozen {
				q.over = true
				delete(i.pending, kind)
				i.events = append(i.events, map[string]member.Event{
					"renew": member.NotRenewed{}, "look": member.NotLooked{}, "write": member.NotWritten{},
				}[kind])
			}
		}
	}
}

func (w *world) drop(q *request) {
	w.late = slices.DeleteFunc(w.late, func(other *request) bool { return other == q })
}

// handle is what the leader of the bucket does.
func (w *world) handle(q *request) member.Event {
	switch e := q.effect.(type) {
	case member.Renew:
		revision, created := uint64(0), w.now
		if k := w.keys[q.from.name]; k != nil {
			revision, created = k.found.Revision, k.created
		}
		if revision != e.Expect {
			w.refused++
			return member.NotRenewed{Refused: true}
		}
		w.revisions++
		w.keys[q.from.name] = &stored{
			found:   member.Found{Instance: q.from.name, Key: e.Key, Revision: w.revisions},
			expires: w.now + ttl, created: created,
		}
		return member.Renewed{Revision: w.revisions}
	case member.Write:
		w.writes++
		if w.revision != e.Expect {
			return member.NotWritten{}
		}
		w.check(q.from, e.Record)
		w.revisions++
		w.record, w.revision, w.wrote = e.Record, w.revisions, w.now
		return member.Written{}
	default:
		looked := member.Looked{Record: w.record, Revision: w.revision}
		for _, name := range slices.Sorted(maps.Keys(w.keys)) {
			looked.Keys = append(looked.Keys, w.keys[name].found)
		}
		return looked
	}
}

// check checks a record that is about to be written.
func (w *world) check(by *instance, next assignment.Record) {
	if next.Version <= w.record.Version || next.By != by.name {
		w.fail("%s writes version %d, by %q, after version %d", by.name, next.Version, next.By, w.record.Version)
	}
	for n, l := range next.Logs {
		was := assignment.Log{}
		if n < len(w.record.Logs) {
			was = w.record.Logs[n]
		}
		if l.Epoch < was.Epoch && !w.remade && !w.restored {
			w.fail("log %d: epoch %d after %d", n, l.Epoch, was.Epoch)
		}
		of := member.Owned{Log: n, Epoch: l.Epoch}
		if first, given := w.epochs[of]; given && first != l.Owner && !w.remade {
			w.fail("log %d: epoch %d was that of %s, and is given to %s by %s", n, l.Epoch, first, l.Owner, by.name)
		}
		w.epochs[of] = l.Owner
		if was.Owner == "" || l.Owner == was.Owner || by.name == was.Owner || slices.Contains(was.Failed, was.Owner) {
			continue
		}
		// A key that was made since the look before the write does not count.
		if k := w.keys[was.Owner]; k != nil && w.now-k.created > 2*ttl && !w.remade && !w.restored {
			w.fail("log %d is taken from %s, which is a member, by %s: %+v, then %+v", n, was.Owner, by.name, was, l)
		}
	}
}

// onlyOneMay checks that no two instances may refuse requests to the same log.
func (w *world) onlyOneMay() {
	by := make(map[int]string)
	for _, i := range w.alive() {
		if w.now < i.frozen || !i.core.Lease().May(w.clock(i)) {
			continue
		}
		for _, o := range i.core.Owned() {
			if other := by[o.Log]; other != "" && !w.remade {
				w.fail("%s and %s may both refuse requests to log %d", other, i.name, o.Log)
			}
			by[o.Log] = i.name
		}
	}
}

// calm lets nothing go wrong any more, and checks that all come to the same assignment and leave it.
func (w *world) calm() {
	w.quiet = true
	w.run(8 * time.Second) // until what has gone wrong is over
	if len(w.alive()) == 0 {
		w.start()
	}
	w.run(8 * time.Second)
	takers := 0
	for _, i := range w.alive() {
		if !i.leaving {
			takers++
		}
	}
	if takers == 0 {
		w.start()
		w.run(8 * time.Second)
	}
	for n, l := range w.record.Logs {
		if !slices.ContainsFunc(w.alive(), func(i *instance) bool { return i.name == l.Owner }) {
			w.fail("log %d has no owner: %+v among %v", n, l, w.names())
		}
	}
	if len(w.record.Logs) != w.logs {
		w.fail("%d logs are assigned, of %d", len(w.record.Logs), w.logs)
	}
	w.run(time.Duration(w.logs) * 2 * time.Second)
	w.run(10 * time.Second)
	if w.now-w.wrote < 8*time.Second {
		w.fail("the record is still being replaced: %+v", w.record)
	}
	load := make(map[string]int)
	failed := false
	for n, l := range w.record.Logs {
		load[l.Owner]++
		failed = failed || len(l.Failed) > 0
		for _, i := range w.alive() {
			owns := slices.Contains(i.core.Owned(), member.Owned{Log: n, Epoch: l.Epoch})
			if may := i.core.Lease().May(w.clock(i)); owns != (i.name == l.Owner) || owns && !may {
				w.fail("log %d is that of %s in epoch %d; %s: owns it %t, may refuse %t", n, l.Owner, l.Epoch, i.name, owns, may)
			}
		}
	}
	least, most := w.logs, 0
	for _, i := range w.alive() {
		if !i.leaving {
			least, most = min(least, load[i.name]), max(most, load[i.name])
		}
	}
	if most-least > 1 && !failed {
		w.fail("%v among %v", load, w.names())
	}
}

func (w *world) names() (names []string) {
	for _, i := range w.alive() {
		names = append(names, fmt.Sprintf("%s (leaving %t)", i.name, i.leaving))
	}
	return names
}
