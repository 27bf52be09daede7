package sweep

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

func TestDeletesWhatIsBelowTheBoundAndNotNamed(t *testing.T) {
	r := newRig(t)
	got := r.sweep()
	r.wantGone("o/6/old", "objects/0/undated", "s/4/twice", "m/4/replaced")
	if got.Reason != "" || got.Bound != 7 || got.Generation != 9 || !got.Full || got.Deleted != 4 || got.DeletedBytes != 121 || got.Orphans != 2 {
		t.Errorf("the outcome is %+v", got)
	}
	if want := "ReadRecords Raise ReadLogs ListLogs ReadLogs ReadManifests StoreRecord List Delete Next Next Delete Next End"; r.order() != want {
		t.Errorf("the steps are %s, want %s", r.order(), want)
	}
}

// Each change happens between two steps of a sweep that has gone by what was true before.
func TestWhatBecomesTrueDuringASweepStays(t *testing.T) {
	second := partition(2, 0)
	for name, c := range map[string]struct {
		during string // the effect before which it happens
		change func(r *rig)
		stays  string
	}{
		"a segment is archived, and the watermark rises": {"ListLogs", archiveAndRise, "s/7/late"},
		"a segment is archived after the names are read": {"ReadManifests", archiveAndRise, "s/7/late"},
		"a topic is created": {"ListLogs", func(r *rig) {
			r.logs = append(r.logs, Log{second, 1, 5, ""})
			r.registry = append(r.registry, second)
		}, "o/6/old"},
		"a topic is created, and the logs were listed": {"ReadManifests", func(r *rig) {
			r.logs = append(r.logs, Log{second, 1, 7, ""})
		}, "o/7/new"},
		"the manifest is replaced, and gone": {"ReadManifests", func(r *rig) {
			r.logs[0].Manifest = "m/7/b"
			r.manifests["m/7/b"] = Contents{Key: "m/7/b", Names: []string{"s/4/a", "s/7/late"}}
			delete(r.manifests, "m/5/a")
		}, "s/4/a"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			done := false
			r.before = func(e Effect) {
				if !done && strings.HasSuffix(fmt.Sprintf("%T", e), "."+c.during) {
					done = true
					c.change(r)
				}
			}
			r.sweep()
			if !done || slices.Contains(r.gone, c.stays) {
				t.Errorf("deleted are %q, after %s", r.gone, r.order())
			}
		})
	}
}

// Each of the logs gets two manifests more between the read of its end and that of its manifest.
func TestManifestsOfManyLogsMayBeReplacedAtOnce(t *testing.T) {
	r := newRig(t)
	for n := range int32(manifestReads) {
		p := partition(2, n)
		r.logs, r.registry = append(r.logs, Log{p, 5, 7, fmt.Sprintf("m/7/old-%d", n)}), append(r.registry, p)
	}
	r.before = func(e Effect) {
		if _, ok := e.(ReadManifests); ok && r.manifests["m/7/new-0"].Key == "" {
			for n := range manifestReads {
				l := &r.logs[n+1]
				l.Sequence, l.Manifest = 9, fmt.Sprintf("m/7/new-%d", n)
				r.manifests[l.Manifest] = Contents{Key: l.Manifest}
			}
		}
	}
	if got := r.sweep(); got.Alarm != NoAlarm || got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
}

// A sweep pauses so often that its log always has another manifest by then. That is no damage.
func TestManifestThatIsReplacedEachTimeRaisesNoAlarm(t *testing.T) {
	r := newRig(t)
	r.before = func(e Effect) {
		if _, ok := e.(ReadManifests); ok {
			r.logs[0].Sequence++
			r.logs[0].Manifest = fmt.Sprintf("m/7/new-%d", r.logs[0].Sequence)
			r.manifests = map[string]Contents{r.logs[0].Manifest: {Key: r.logs[0].Manifest}}
		}
	}
	if got := r.sweep(); got.Alarm != NoAlarm || got.Partition != "t1/0" || len(r.gone) > 0 || !strings.Contains(got.Reason, "replaced 3 times") {
		t.Errorf("the outcome is %+v; deleted are %q", got, r.gone)
	}
}

func archiveAndRise(r *rig) {
	r.logs[0].Watermark, r.logs[0].Manifest = 9, "m/7/b"
	r.manifests["m/7/b"] = Contents{Key: "m/7/b", Names: []string{"s/7/late"}}
	r.objects = append(r.objects, Object{"m/7/b", 1, Manifest, 7})
}

func TestTheLowestWatermarkIsTheBound(t *testing.T) {
	r := newRig(t)
	p := partition(2, 0)
	r.logs, r.registry = append(r.logs, Log{p, 5, 5, ""}), append(r.registry, p)
	r.objects = append(r.objects, Object{"o/4/x", 1, Batches, 4})
	got := r.sweep()
	if r.wantGone("o/4/x", "objects/0/undated", "s/4/twice", "m/4/replaced"); got.Bound != 5 || got.Holding != "t2/0" {
		t.Errorf("the outcome is %+v", got)
	}
	if want := 3; strings.Count(r.order(), "ReadLogs")-2 != want { // after 250, 750 and 1,000 ms
		t.Errorf("the steps are %s, want %d reads of the log that does not follow", r.order(), want)
	}
}

func TestASweepWaitsForLogsToFollowTheGeneration(t *testing.T) {
	r := newRig(t)
	r.logs[0].Watermark = 6
	r.before = func(e Effect) {
		if again, ok := e.(ReadLogs); ok && again.Pause > 0 {
			r.logs[0].Watermark = 7
		}
	}
	if got := r.sweep(); got.Bound != 7 {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestWithoutLogsTheGenerationIsTheBound(t *testing.T) {
	r := newRig(t)
	r.logs, r.registry, r.manifests = nil, nil, nil
	got := r.sweep()
	r.wantGone("o/6/old", "objects/0/undated", "s/4/twice", "m/4/replaced", "s/4/a", "m/3/list", "s/2/listed", "m/5/a")
	if got.Bound != 7 || got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestWhatIsNotKnownEndsTheSweep(t *testing.T) {
	second := partition(2, 3)
	for name, c := range map[string]struct {
		change func(r *rig)
		reason string
		alarm  Alarm
	}{
		"a log without a watermark": {func(r *rig) {
			r.logs, r.registry = append(r.logs, Log{second, 5, 0, ""}), append(r.registry, second)
		}, "the log of partition t2/3 has no watermark", NoAlarm},
		"a repair is under way": {func(r *rig) {
			next := r.registry[0]
			next.Incarnation++
			r.logs, r.registry = append(r.logs, Log{next, 1, 0, ""}), append(r.registry, next)
			r.continuing = []protocol.Partition{next}
		}, "a repair of partition t1/0 is under way", NoAlarm},
		"a log that was not read":            {func(r *rig) { r.registry = append(r.registry, second) }, "the log of partition t2/3 was not there", NoAlarm},
		"another incarnation was not read":   {func(r *rig) { r.registry[0].Incarnation++ }, "the log of partition t1/0", NoAlarm},
		"a log that cannot be read":          {func(r *rig) { r.unreadable = "t1/0" }, "t1/0 cannot be read: it is damaged", NoAlarm},
		"the first generations":              {func(r *rig) { r.generation = 1 }, "the generation is 2", NoAlarm},
		"a manifest that is not there":       {func(r *rig) { clear(r.manifests) }, "the store is older than its logs, or has lost objects: partition t1/0 has the manifest m/5/a", StoreOlder},
		"a record that is not there":         {func(r *rig) { r.known = 3 }, "the store is older than its logs: sweep 3", StoreOlder},
		"a record of a log that is gone":     {func(r *rig) { r.records = []Record{recordWith(LogRecord{TopicID: 5})} }, "nor was the topic deleted", LogOlder},
		"a record of a later entry":          {func(r *rig) { r.records = []Record{recordWith(LogRecord{TopicID: 1, Sequence: 101, Watermark: 7})} }, "entry 101, and the log ends with entry 100", LogOlder},
		"a record of a higher watermark":     {func(r *rig) { r.records = []Record{recordWith(LogRecord{TopicID: 1, Sequence: 100, Watermark: 8})} }, "watermark 8, and the log has watermark 7", LogOlder},
		"a record of a later incarnation":    {func(r *rig) { r.records = []Record{recordWith(LogRecord{TopicID: 1, Incarnation: 1})} }, "incarnation 1, and there is no such log", LogOlder},
		"a log that goes back in the middle": {func(r *rig) { r.before = goBack(r) }, "this sweep has read of partition t1/0: entry 100", LogOlder},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.change(r)
			got := r.sweep()
			if !strings.Contains(got.Reason, c.reason) || got.Alarm != c.alarm || len(r.gone) > 0 || r.stored != nil {
				t.Errorf("deleted are %q, the outcome is %+v, want %q", r.gone, got, c.reason)
			}
		})
	}
}

func recordWith(l LogRecord) Record { return Record{Key: "r/1/x", Number: 1, Logs: []LogRecord{l}} }

func goBack(r *rig) func(Effect) {
	return func(e Effect) {
		if _, ok := e.(ListLogs); ok {
			r.logs[0].Sequence--
		}
	}
}

func TestRecordsThatTheLogsHaveSurpassedAreReplaced(t *testing.T) {
	r := newRig(t)
	p := partition(1, 1)
	p.Incarnation = 2
	r.logs, r.registry = append(r.logs, Log{p, 5, 7, ""}), append(r.registry, p)
	r.deleted = []Tombstone{{Topic: 9}, {Topic: 10, Passing: true}}
	r.records = []Record{{Key: "r/4/x", Number: 4, Logs: []LogRecord{
		{TopicID: 1, Sequence: 100, Watermark: 7}, {TopicID: 1, Partition: 1, Incarnation: 1, Sequence: 900, Watermark: 9}, {TopicID: 9, Sequence: 1}, {TopicID: 10},
	}}, {Key: "r/3/y", Number: 3}}
	r.torn, r.known = []string{"r/5/torn"}, 4
	if got := r.sweep(); got.Reason != "" {
		t.Fatalf("the outcome is %+v", got)
	}
	if s := r.stored; s.Record.Number != 5 || s.Record.Bound != 7 || len(s.Record.Logs) != 2 || s.Record.Logs[0].Sequence != 100 || s.Record.Logs[1].Incarnation != 2 ||
		!slices.Equal(s.Obsolete, []string{"r/5/torn", "r/4/x", "r/3/y"}) || !slices.Equal(s.Seen, []uint64{9}) {
		t.Errorf("stored is %+v", s)
	}
}

func TestWaitingObjectsGoWhateverTheirGeneration(t *testing.T) {
	r := newRig(t)
	m := r.manifests["m/5/a"]
	m.Waiting = []string{"s/7/late", "s/4/a", "m/9/young"}
	r.manifests["m/5/a"] = m
	r.manifests["m/9/other"] = Contents{Key: "m/9/other", Waiting: []string{"o/7/new"}}
	r.before = func(e Effect) {
		if read, ok := e.(ReadManifests); ok && !slices.Contains(read.Keys, "m/9/other") {
			// The shell may read more than it was asked for.
			r.core.contents["m/9/other"] = r.manifests["m/9/other"]
		}
	}
	r.core.contents = make(map[string]Contents)
	r.sweep()
	r.wantGone("o/6/old", "objects/0/undated", "s/4/twice", "m/4/replaced", "s/7/late", "m/9/young")
	if r.sweep(); len(r.gone) > 0 {
		t.Errorf("deleted again are %q", r.gone)
	}
}

func TestOldGenerationsOfSegmentsAreListedOnceADay(t *testing.T) {
	r := newRig(t)
	r.sweep()
	r.logs[0].Watermark = 9
	r.generation = 10
	r.objects = append(r.objects, Object{"s/3/lost", 1, Segment, 3}, Object{"o/3/late", 1, Batches, 3})
	if got := r.sweep(); got.Full || got.Bound != 9 {
		t.Errorf("the outcome is %+v", got)
	}
	r.wantGone("s/7/late", "o/7/new", "o/3/late")
	r.now = r.now.Add(24 * time.Hour)
	if got := r.sweep(); !got.Full {
		t.Errorf("the outcome is %+v", got)
	}
	r.wantGone("s/3/lost")
}

func TestASweepThatCannotDeleteIsNotComplete(t *testing.T) {
	r := newRig(t)
	r.deletes = "the store is away"
	got := r.sweep()
	if r.wantGone(); !strings.Contains(got.Reason, "the store is away") || got.Alarm != NoAlarm {
		t.Errorf("the outcome is %+v", got)
	}
	r.deletes, r.logs[0].Watermark = "", 8
	got = r.sweep()
	if r.wantGone("o/6/old", "o/7/new", "objects/0/undated", "s/4/twice", "m/4/replaced", "s/7/late"); got.Reason != "" || !got.Full {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestADeletedTopicIsGoneAfterThreeSweeps(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprint(restarts), func(t *testing.T) {
			r := newRig(t)
			r.sweep()
			r.logs, r.registry = nil, nil
			r.deleted = []Tombstone{{Topic: 1}}
			// A stager and an archiver that have not heard of a later generation.
			r.objects = append(r.objects, Object{"o/9/x", 1, Batches, 9}, Object{"s/9/x", 1, Segment, 9})
			for n := 1; n <= 3; n++ {
				if restarts {
					r.core = NewCore(r.core.settings)
				}
				got := r.sweep()
				if got.Reason != "" || !got.Full {
					t.Fatalf("sweep %d: %+v", n, got)
				}
				for _, topic := range r.stored.Seen {
					r.deleted[0] = Tombstone{Topic: topic, Seen: got.Generation}
				}
				if forget := n == 3; forget != slices.Contains(got.Forget, 1) {
					t.Errorf("sweep %d of generation %d with bound %d forgets %v", n, got.Generation, got.Bound, got.Forget)
				}
			}
			if len(r.objects) != 1 { // of another kind
				t.Errorf("left are %+v", r.objects)
			}
		})
	}
}

func TestFailureEndsTheSweep(t *testing.T) {
	r := newRig(t)
	r.core.Step(start, Start{})
	end, ok := r.core.Step(start, Failed{"NATS is away"}).(End)
	if !ok || end.Outcome.Reason != "NATS is away" {
		t.Errorf("the effect is %+v", end)
	}
	if got := r.sweep(); got.Reason != "" {
		t.Errorf("the next sweep is %+v", got)
	}
}

// A sweep was paused before it has stored its record. Then a topic was deleted, and further sweeps have forgotten it.
func TestARecordThatIsStoredLateRaisesNoAlarm(t *testing.T) {
	r := newRig(t)
	gone := LogRecord{Topic: "gone", TopicID: 9, Sequence: 5, Watermark: 5}
	late := Record{Key: "r/late", Number: 5, Logs: []LogRecord{gone}}
	r.records, r.known, r.named = []Record{late, {Key: "r/named", Number: 5}}, 5, "r/named"
	if got := r.sweep(); got.Reason != "" || r.stored.Record.Number != 6 || !slices.Equal(r.stored.Obsolete, []string{"r/late", "r/named"}) {
		t.Errorf("the outcome is %+v, and %+v was stored", got, r.stored)
	}
}

func TestARecordThatNATSDoesNotNameYetIsCompared(t *testing.T) {
	r := newRig(t)
	more := recordOf(r.logs[0])
	more.Sequence++
	r.records, r.known, r.named = []Record{{Key: "r/named", Number: 5}, {Key: "r/next", Number: 6, Logs: []LogRecord{more}}}, 5, "r/named"
	if got := r.sweep(); got.Alarm != LogOlder {
		t.Errorf("the outcome is %+v", got)
	}
	r.records[1].Logs = nil
	if got := r.sweep(); got.Reason != "" || r.stored.Record.Number != 6 {
		t.Errorf("the outcome is %+v, and %+v was stored", got, r.stored)
	}
}

func TestARecordThatNATSCannotKnowYetIsOfNewerLogs(t *testing.T) {
	r := newRig(t)
	r.records, r.known, r.named = []Record{{Key: "r/named", Number: 5}, {Key: "r/newer", Number: 7}}, 5, "r/named"
	if got := r.sweep(); got.Alarm != LogOlder {
		t.Errorf("the outcome is %+v", got)
	}
	r.records, r.known, r.named = r.records[1:], 0, "" // NATS has lost the bucket
	if got := r.sweep(); got.Reason != "" || r.stored.Record.Number != 8 {
		t.Errorf("the outcome is %+v, and %+v was stored", got, r.stored)
	}
}

func TestLogsAndStoreAreSettledIfNATSNamesTheNewestRecord(t *testing.T) {
	for name, c := range map[string]struct {
		found RecordsFound
		want  bool
	}{
		"no sweep yet":                      {RecordsFound{}, true},
		"the record is named":               {RecordsFound{Records: []Record{{Key: "r/late", Number: 5}, {Key: "r/a", Number: 5}}, Known: 5, Named: "r/a"}, true},
		"an older release has named it":     {RecordsFound{Records: []Record{{Key: "r/a", Number: 5}}, Known: 5}, true},
		"the store lacks it":                {RecordsFound{Records: []Record{{Key: "r/late", Number: 5}}, Known: 5, Named: "r/a"}, false},
		"the store has no records any more": {RecordsFound{Known: 5, Named: "r/a"}, false},
		"the store has a newer one":         {RecordsFound{Records: []Record{{Key: "r/a", Number: 5}, {Key: "r/b", Number: 6}}, Known: 5, Named: "r/a"}, false},
		"NATS has lost the bucket":          {RecordsFound{Records: []Record{{Key: "r/a", Number: 5}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Settled(c.found); got != c.want {
				t.Errorf("settled: %t, want %t", got, c.want)
			}
		})
	}
}

func TestAnotherRecordWithTheNumberOfTheNamedOneDoesNotReplaceIt(t *testing.T) {
	r := newRig(t)
	r.records, r.known, r.named = []Record{{Key: "r/late", Number: 5}}, 5, "r/named"
	if got := r.sweep(); got.Alarm != StoreOlder {
		t.Errorf("the outcome is %+v", got)
	}
}

// Another archiver may sweep while this one pauses. The log of a topic that is being deleted is still there.
func TestAManifestOfATopicThatIsDeletedMeanwhileIsNotLost(t *testing.T) {
	r := newRig(t)
	r.before = func(fx Effect) {
		if _, is := fx.(ReadManifests); is {
			clear(r.manifests)
			r.registry, r.deleted = nil, []Tombstone{{Topic: 1, Passing: true}}
		}
	}
	if got := r.sweep(); got.Alarm != NoAlarm || !strings.Contains(got.Reason, "was deleted") {
		t.Errorf("the outcome is %+v", got)
	}
}
