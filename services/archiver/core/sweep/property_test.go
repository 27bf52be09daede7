package sweep

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/protocol"
)

// model is a cluster whose stagers, archivers and owners hear of a generation late, and whose work
// arrives late. Owners keep the rules for watermarks. Two sweepers run at any speed.
type model struct {
	t          *rapid.T
	generation uint64
	objects    map[string]Object
	staged     []Object // with batches that no log has yet
	jobs       []*job
	logs       []*modelLog
	deleted    []Tombstone
	contents   map[string]Contents
	records    map[string]Record
	known      uint64 // number and key of the record that NATS names, and how often it has named one
	named      string
	revision   int
	copied     *model // logs and NATS, as a backup has them
	next       int
	sweepers   [2]*sweeper
}

type modelLog struct {
	Log
	heard uint64   // generation that the owner knows; 0 while the log has no first entry
	tail  []Object // with batches that are not archived
	bases []string // segments of the newest manifest
	gone  bool
}

// job is a part of a log that was archived and does not stand in the log yet.
type job struct {
	log        *modelLog
	base       string
	tail       int // how much of the tail it archives
	contents   Contents
	generation uint64
}

type sweeper struct {
	core     *Core
	next     Effect
	pages    [][]Object
	revision int    // as of ReadRecords
	stored   string // key of the record that is stored and not named
}

// die ends a sweeper wherever it is. Another one begins.
func (s *sweeper) die() { *s = sweeper{core: NewCore(s.core.settings)} }

func (m *model) key(kind string, generation uint64) string {
	m.next++
	return fmt.Sprintf("%s/%d/%d", kind, generation, m.next)
}

// late draws a generation that somebody knows.
func (m *model) late() uint64 {
	return m.generation - min(m.generation-1, uint64(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3, 5}).Draw(m.t, "late")))
}

func (m *model) put(kind Kind, prefix string, generation uint64) Object {
	o := Object{m.key(prefix, generation), 1, kind, generation}
	m.objects[o.Key] = o
	return o
}

func (m *model) pick() *modelLog {
	live := slices.DeleteFunc(slices.Clone(m.logs), func(l *modelLog) bool { return l.gone })
	if len(live) == 0 {
		return nil
	}
	return rapid.SampledFrom(live).Draw(m.t, "log")
}

// enter appends an entry with batches of some objects; none if they are too old.
func (l *modelLog) enter(objects ...Object) bool {
	if l.heard == 0 {
		return false
	}
	watermark := generation.Watermark(l.heard)
	for _, o := range slices.Concat(l.tail, objects) {
		watermark = min(watermark, o.Generation)
	}
	for _, o := range objects {
		if o.Generation < l.Watermark {
			return false
		}
	}
	l.Sequence++
	l.Watermark = max(l.Watermark, watermark)
	l.tail = append(l.tail, objects...)
	return true
}

func (m *model) stage() { m.staged = append(m.staged, m.put(Batches, "o", m.late())) }

func (m *model) append() {
	if l := m.pick(); l != nil && len(m.staged) > 0 {
		n := rapid.IntRange(0, len(m.staged)-1).Draw(m.t, "staged")
		l.enter(m.staged[n])
		m.staged = slices.Delete(m.staged, n, n+1)
	}
}

func (m *model) hear() {
	if l := m.pick(); l != nil && l.heard > 0 {
		l.heard = max(l.heard, m.late())
		l.enter()
	}
}

func (m *model) archive() {
	l := m.pick()
	if l == nil || len(l.tail) == 0 {
		return
	}
	g := m.late()
	s := m.put(Segment, "s", g)
	j := &job{log: l, base: l.Manifest, tail: rapid.IntRange(1, len(l.tail)).Draw(m.t, "tail"), generation: g}
	j.contents = Contents{Names: append(slices.Clone(l.bases), s.Key)}
	if len(j.contents.Names) > 2 { // retention drops the oldest one
		j.contents.Waiting, j.contents.Names = j.contents.Names[:1], j.contents.Names[1:]
	}
	if l.Manifest != "" {
		j.contents.Waiting = append(j.contents.Waiting, l.Manifest)
	}
	j.contents.Key = m.put(Manifest, "m", g).Key
	m.contents[j.contents.Key] = j.contents
	m.jobs = append(m.jobs, j)
}

func (m *model) archived() {
	if len(m.jobs) == 0 {
		return
	}
	n := rapid.IntRange(0, len(m.jobs)-1).Draw(m.t, "job")
	j := m.jobs[n]
	m.jobs = slices.Delete(m.jobs, n, n+1)
	l := j.log
	if l.gone || l.Manifest != j.base || j.generation < l.Watermark {
		return
	}
	tail := l.tail
	l.tail = slices.Clone(tail[j.tail:])
	l.enter(Object{Generation: j.generation})
	l.tail = slices.Clone(tail[j.tail:])
	l.Manifest, l.bases = j.contents.Key, slices.Clone(j.contents.Names)
}

func (m *model) create() {
	if len(m.logs) < 5 {
		n := len(m.logs)
		m.logs = append(m.logs, &modelLog{Log: Log{Partition: protocol.Partition{Topic: fmt.Sprint("t", n), TopicID: uint64(n)}}})
	}
}

func (m *model) open() {
	for _, l := range m.logs {
		if l.heard == 0 {
			l.heard = m.generation
			l.Sequence, l.Watermark = 1, generation.Watermark(m.generation)
			return
		}
	}
}

func (m *model) delete() {
	if l := m.pick(); l != nil && rapid.IntRange(0, 9).Draw(m.t, "deletes") == 0 {
		l.gone = true
		m.deleted = append(m.deleted, Tombstone{Topic: l.Partition.TopicID})
	}
}

func (m *model) sweep() {
	s := m.sweepers[rapid.IntRange(0, 1).Draw(m.t, "sweeper")]
	if s.next == nil {
		s.next = s.core.Step(start, Start{})
		return
	}
	m.do(s)
}

func (m *model) die() { m.sweepers[rapid.IntRange(0, 1).Draw(m.t, "dies")].die() }

// sweepOn lets a sweeper do all that is left of its sweep while the other one is paused.
func (m *model) sweepOn() {
	s := m.sweepers[rapid.IntRange(0, 1).Draw(m.t, "goes on")]
	if s.next == nil {
		s.next = s.core.Step(start, Start{})
	}
	for s.next != nil {
		m.do(s)
	}
}

func (m *model) do(s *sweeper) {
	switch fx := s.next.(type) {
	case End:
		for _, topic := range fx.Outcome.Forget {
			m.deleted = slices.DeleteFunc(m.deleted, func(t Tombstone) bool { return t.Topic == topic })
		}
		if fx.Outcome.Alarm != NoAlarm && s.revision == m.revision {
			m.t.Fatal(fx.Outcome.Reason)
		}
		s.next = nil
		return
	case StoreRecord:
		if s.stored == "" {
			fx.Record.Key = m.key("r", fx.Record.Number)
			m.records[fx.Record.Key] = fx.Record
			s.stored = fx.Record.Key
			return
		}
	}
	s.next = s.core.Step(start, m.answer(s))
}

// name names the record of a sweep, unless another one was named since it has begun.
func (m *model) name(s *sweeper, fx StoreRecord) Event {
	key := s.stored
	s.stored = ""
	if s.revision != m.revision {
		delete(m.records, key)
		return Failed{"it is overtaken"}
	}
	m.revision++
	m.known, m.named = fx.Record.Number, key
	for _, key := range fx.Obsolete {
		delete(m.records, key)
	}
	for i := range m.deleted {
		if slices.Contains(fx.Seen, m.deleted[i].Topic) {
			m.deleted[i].Seen = fx.Record.Generation
		}
	}
	return RecordStored{}
}

// backUp copies the logs and NATS.
func (m *model) backUp() {
	m.copied = &model{deleted: slices.Clone(m.deleted), known: m.known, named: m.named}
	for _, l := range m.logs {
		c := *l
		c.tail, c.bases = slices.Clone(l.tail), slices.Clone(l.bases)
		m.copied.logs = append(m.copied.logs, &c)
	}
}

// restore replaces the logs and NATS by the copy. If objects are missing that these logs need, a sweep
// must notice it. It does not notice that a topic was deleted since.
func (m *model) restore() {
	c := m.copied
	if c == nil || len(c.deleted) != len(m.deleted) || slices.ContainsFunc(m.logs, func(l *modelLog) bool { return l.gone }) {
		return
	}
	m.logs, m.deleted, m.known, m.named = c.logs, c.deleted, c.known, c.named
	s := &sweeper{core: NewCore(m.sweepers[0].core.settings)}
	s.next = s.core.Step(start, Start{})
	for {
		if end, ok := s.next.(End); ok {
			if end.Outcome.Reason == "" {
				m.check()
			}
			return
		}
		m.do(s)
	}
}

func (m *model) answer(s *sweeper) Event {
	switch fx := s.next.(type) {
	case ReadRecords:
		s.revision = m.revision
		found := RecordsFound{Known: m.known, Named: m.named}
		for _, key := range slices.Sorted(maps.Keys(m.records)) {
			found.Records = append(found.Records, m.records[key])
		}
		return found
	case Raise:
		m.generation++
		return Raised{m.generation}
	case ReadLogs:
		var e LogsRead
		for _, l := range m.logs {
			switch asked := slices.Contains(fx.Logs, l.Partition); {
			case !l.gone && l.heard > 0 && (asked || fx.Logs == nil):
				e.Logs = append(e.Logs, l.Log)
			case asked:
				e.Failed = append(e.Failed, Failure{What: l.Partition.String(), Reason: "it is gone"})
			}
		}
		return e
	case ListLogs:
		e := LogsListed{Deleted: slices.Clone(m.deleted)}
		for _, l := range m.logs {
			if !l.gone {
				e.Logs = append(e.Logs, l.Partition)
			}
		}
		return e
	case ReadManifests:
		var e ManifestsRead
		for _, key := range fx.Keys {
			if _, there := m.objects[key]; there {
				e.Manifests = append(e.Manifests, m.contents[key])
			} else {
				e.Failed = append(e.Failed, Failure{key, "gone", true})
			}
		}
		return e
	case StoreRecord:
		return m.name(s, fx)
	case List:
		var all []Object
		for _, key := range slices.Sorted(maps.Keys(m.objects)) {
			o := m.objects[key]
			if slices.ContainsFunc(fx.Ranges, func(x Range) bool { return x.Kind == o.Kind && (x.Generation == 0 || x.Generation == o.Generation) }) {
				all = append(all, o)
			}
		}
		s.pages = append(slices.Collect(slices.Chunk(all, 2)), nil)
	case Delete:
		for _, o := range fx.Objects {
			delete(m.objects, o.Key)
		}
		return Deleted{Objects: int64(len(fx.Objects))}
	}
	page := s.pages[0]
	s.pages = s.pages[1:]
	return Page{page, len(s.pages) == 0}
}

// check checks that everything that can be reached is there.
func (m *model) check() {
	for _, l := range m.logs {
		if l.gone {
			continue
		}
		needed := slices.Clone(l.bases)
		for _, o := range l.tail {
			needed = append(needed, o.Key)
		}
		if l.Manifest != "" {
			needed = append(needed, l.Manifest)
		}
		for _, key := range needed {
			if _, there := m.objects[key]; !there {
				m.t.Fatalf("%s is deleted, and %s with watermark %d needs it", key, l.Partition, l.Watermark)
			}
		}
	}
}

// calm ends everything that is under way, and then sweeps as often as it takes: an object that
// was just stored has the present generation.
func (m *model) calm() {
	m.staged, m.jobs = nil, nil
	for _, s := range m.sweepers {
		for s.next != nil {
			m.do(s)
		}
	}
	for range len(m.logs) {
		m.open()
	}
	for range 4 {
		for _, l := range m.logs {
			l.heard, l.tail = m.generation, nil
			l.enter()
		}
		s := m.sweepers[0]
		s.die()
		for s.next = s.core.Step(start, Start{}); s.next != nil; {
			m.do(s)
		}
	}
	stays := make(map[string]bool)
	for _, l := range m.logs {
		if !l.gone && l.Manifest != "" {
			stays[l.Manifest] = true
			for _, key := range l.bases {
				stays[key] = true
			}
		}
	}
	for key := range m.objects {
		if !stays[key] {
			m.t.Errorf("%s is not needed and stays", key)
		}
	}
}

func TestSweepsDeleteNothingThatCanBeReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			t: t, generation: 3, objects: make(map[string]Object), contents: make(map[string]Contents), records: make(map[string]Record),
		}
		for i := range m.sweepers {
			m.sweepers[i] = &sweeper{core: NewCore(Settings{FullEvery: time.Hour})}
		}
		actions := []func(){m.stage, m.append, m.append, m.hear, m.archive, m.archived, m.archived, m.create, m.open, m.delete, m.sweep, m.sweep, m.sweep, m.sweep, m.sweep, m.sweep, m.sweep, m.sweep, m.sweep, m.sweepOn, m.sweepOn, m.die, m.backUp}
		for range rapid.IntRange(50, 400).Draw(t, "actions") {
			actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")]()
			m.check()
		}
		switch rapid.SampledFrom([]string{"stop", "calm", "restore"}).Draw(t, "end") {
		case "calm":
			m.calm()
			m.check()
		case "restore":
			m.restore()
		}
	})
}
