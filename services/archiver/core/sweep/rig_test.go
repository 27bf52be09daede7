package sweep

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func partition(topic uint64, number int32) protocol.Partition {
	return protocol.Partition{Topic: fmt.Sprintf("t%d", topic), TopicID: topic, Number: number}
}

// rig answers the effects of a core with what it has.
type rig struct {
	*testing.T
	core       *Core
	now        time.Time
	generation uint64
	records    []Record
	torn       []string
	known      uint64
	named      string // "": that with the number
	logs       []Log  // streams
	unreadable string
	registry   []protocol.Partition
	continuing []protocol.Partition
	deleted    []Tombstone
	manifests  map[string]Contents
	objects    []Object
	pageSize   int
	deletes    string // why deletes fail

	before  func(Effect) // called before each effect
	effects []Effect
	stored  *StoreRecord
	gone    []string
}

// newRig returns a cluster of one partition with generation 9 and watermark 7: a manifest with one
// segment is below the watermark, and so is an object whose batches are archived.
func newRig(t *testing.T) *rig {
	t.Helper()
	p := partition(1, 0)
	return &rig{
		T: t, core: NewCore(Settings{Patience: time.Second, FullEvery: 24 * time.Hour}), now: start, generation: 8, pageSize: 3,
		logs: []Log{{p, 100, 7, "m/5/a"}}, registry: []protocol.Partition{p},
		manifests: map[string]Contents{"m/5/a": {Key: "m/5/a", Names: []string{"s/4/a", "m/3/list", "s/2/listed"}}},
		objects: []Object{
			{"o/6/old", 10, Batches, 6},
			{"o/7/new", 10, Batches, 7},
			{"objects/0/undated", 10, Batches, 0},
			{"s/4/a", 100, Segment, 4},
			{"m/3/list", 1, Manifest, 3},
			{"s/2/listed", 100, Segment, 2},
			{"m/5/a", 1, Manifest, 5},
			{"s/4/twice", 100, Segment, 4},
			{"m/4/replaced", 1, Manifest, 4},
			{"s/7/late", 100, Segment, 7},
			{"other", 1, Other, 0},
		},
	}
}

// sweep runs a sweep and returns its outcome.
func (r *rig) sweep() Outcome {
	r.Helper()
	return r.run(Start{})
}

func (r *rig) run(begin Start) Outcome {
	r.Helper()
	r.effects, r.stored, r.gone = nil, nil, nil
	var pages [][]Object
	next := r.core.Step(r.now, begin)
	for range 1000 {
		if r.before != nil {
			r.before(next)
		}
		r.effects = append(r.effects, next)
		var e Event
		switch fx := next.(type) {
		case ReadRecords:
			e = RecordsFound{Records: r.records, Torn: r.torn, Known: r.known, Named: r.named}
		case Raise:
			r.generation++
			e = Raised{r.generation}
		case ReadLogs:
			r.now = r.now.Add(fx.Pause)
			e = r.read(fx.Logs)
		case ListLogs:
			e = LogsListed{Logs: r.registry, Continuing: r.continuing, Deleted: slices.Clone(r.deleted)}
		case ReadManifests:
			e = r.readManifests(fx.Keys)
		case StoreRecord:
			r.stored = &fx
			r.records, r.known, r.named = []Record{fx.Record}, fx.Record.Number, ""
			e = RecordStored{}
		case List:
			pages = slices.Collect(slices.Chunk(r.list(fx.Ranges), r.pageSize))
			if len(pages) == 0 {
				pages = [][]Object{nil}
			}
			e, pages = Page{pages[0], len(pages) == 1}, pages[1:]
		case Next:
			e, pages = Page{pages[0], len(pages) == 1}, pages[1:]
		case Delete:
			e = r.delete(fx.Objects)
		case End:
			return fx.Outcome
		}
		next = r.core.Step(r.now, e)
	}
	r.Fatal("the sweep does not end")
	return Outcome{}
}

func (r *rig) read(which []protocol.Partition) (e LogsRead) {
	for _, l := range r.logs {
		switch {
		case which != nil && !slices.Contains(which, l.Partition):
		case l.Partition.String() == r.unreadable:
			e.Failed = append(e.Failed, Failure{What: r.unreadable, Reason: "it is damaged"})
		default:
			e.Logs = append(e.Logs, l)
		}
	}
	return e
}

func (r *rig) readManifests(keys []string) (e ManifestsRead) {
	for _, key := range keys {
		if m, there := r.manifests[key]; there {
			e.Manifests = append(e.Manifests, m)
		} else {
			e.Failed = append(e.Failed, Failure{key, "no such object", true})
		}
	}
	return e
}

func (r *rig) list(ranges []Range) (all []Object) {
	for _, o := range r.objects {
		if slices.ContainsFunc(ranges, func(x Range) bool { return x.Kind == o.Kind && (x.Generation == 0 || x.Generation == o.Generation) }) {
			all = append(all, o)
		}
	}
	return all
}

func (r *rig) delete(objects []Object) Deleted {
	if r.deletes != "" {
		return Deleted{Failed: r.deletes}
	}
	e := Deleted{Objects: int64(len(objects))}
	for _, o := range objects {
		r.gone = append(r.gone, o.Key)
		e.Bytes += o.Size
		r.objects = slices.DeleteFunc(r.objects, func(x Object) bool { return x.Key == o.Key })
	}
	return e
}

func (r *rig) wantGone(want ...string) {
	r.Helper()
	slices.Sort(want)
	slices.Sort(r.gone)
	if !slices.Equal(r.gone, want) {
		r.Errorf("deleted are %q, want %q", r.gone, want)
	}
}

// order returns the kinds of the effects.
func (r *rig) order() string {
	var all []string
	for _, e := range r.effects {
		all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", e), "sweep."))
	}
	return strings.Join(all, " ")
}
