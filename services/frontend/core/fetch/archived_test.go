package fetch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"laneway.dev/pkg/protocol"
)

// archivedLog returns a log of n entries with one record each, of which the first are archived and
// purged. The entry at sequence s has the offset s-1 and the time 1000+10*s.
func archivedLog(n, archived int) *modelLog {
	l := newLog()
	for range n {
		l.commit(1)
	}
	l.archiveUpTo(uint64(archived))
	l.purge()
	return l
}

// numbers returns the records from one offset up to another, as a rig describes them.
func numbers(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(append(all, fmt.Sprintf("204 next %d of %d", to, to)), "; ")
}

func TestHistoryAndStreamAreReadAsOneLog(t *testing.T) {
	for _, c := range []struct{ request, want string }{
		{`{"from":"earliest"}`, numbers(0, 20)},
		{`{"offset":0}`, numbers(0, 20)},
		{`{"offset":7}`, numbers(7, 20)},
		{`{"offset":9}`, numbers(9, 20)},
		{`{"offset":10}`, numbers(10, 20)},
		{`{"offset":11}`, numbers(11, 20)},
		{`{"offset":20}`, numbers(20, 20)},
		{`{"from":"latest"}`, numbers(20, 20)},
		{`{"time":"1970-01-01T00:00:00Z"}`, numbers(0, 20)},
		{`{"time":"1970-01-01T00:00:00.00000105Z"}`, numbers(4, 20)},
		{`{"time":"1970-01-01T00:00:00.00000110Z"}`, numbers(9, 20)},
		{`{"time":"1970-01-01T00:00:00.00000111Z"}`, numbers(10, 20)},
		{`{"time":"1970-01-01T00:00:00.00000115Z"}`, numbers(14, 20)},
		{`{"time":"1970-01-01T00:00:01Z"}`, numbers(20, 20)},
	} {
		t.Run(c.request, func(t *testing.T) { newRig(t, archivedLog(20, 10), c.request).expect(c.want) })
	}
}

func TestSearchOfAHistoryReadsFewEntriesOfIt(t *testing.T) {
	for _, request := range []string{`{"offset":2001}`, `{"time":"1970-01-01T00:00:00.00002101Z"}`} {
		l := archivedLog(5000, 4000)
		var reads, pages []uint64
		r := newRig(t, l, request)
		r.asks = func(q Question) {
			if read, ok := q.(Read); ok && read.History.Archived() {
				reads = append(reads, read.From)
				page, _ := l.page(read.From)
				if !slices.Contains(pages, page) {
					pages = append(pages, page)
				}
			}
		}
		for r.core.Step(r.now, nil); !r.core.placed; r.run(r.events...) {
			r.events = nil
			r.answer(r.core.question)
			r.events = slices.Insert(r.events, 0, Event(Moved{r.end.Known()}))
		}
		if len(reads) == 0 || pages[0] > 2002 || pages[0]+pageEntries < 2001 {
			t.Errorf("%s: reads of %d", request, reads)
		}
		before := slices.IndexFunc(reads, func(s uint64) bool { return s > 2002+pageEntries })
		if before < 0 {
			before = len(reads)
		}
		if before > 6 {
			t.Errorf("%s: %d reads before the first record: %d", request, before, reads[:before])
		}
	}
}

func TestFollowerCrossesAHistoryThatMoves(t *testing.T) {
	for _, heard := range []bool{true, false} {
		l := logOf()
		r := newRig(t, l, `{"from":"earliest","follow":true}`)
		r.run()
		for next := range 50 {
			l.commit(1)
			if next%7 == 6 {
				// The consumer hears of nothing that is archived and purged before it.
				l.commit(1)
				l.archiveUpTo(forever)
				l.purge()
			}
			if heard || next%7 == 3 {
				r.advance()
			}
			r.run()
		}
		r.advance()
		r.run()
		if r.core.offset != l.next || r.last != nil {
			t.Errorf("at offset %d of %d, ended with %v", r.core.offset, l.next, r.last)
		}
	}
}

// The frontend knows an older end of the log than its leader when the entries that it is about to
// read are purged.
func TestEntriesThatArePurgedMeanwhileAreReadFromTheHistory(t *testing.T) {
	for _, request := range []string{`{"offset":0}`, `{"offset":5}`, `{"offset":7,"follow":true}`, `{"time":"1970-01-01T00:00:00.00000105Z"}`} {
		for question := range 12 {
			l := archivedLog(20, 0)
			r := newRig(t, l, request)
			asked := 0
			r.asks = func(Question) {
				if asked == question {
					l.archiveUpTo(15)
					l.purge()
				}
				asked++
			}
			out := r.run()
			want := newRig(t, archivedLog(20, 0), request).run()
			if out != want {
				t.Errorf("%s, purged before question %d: sent %q, want %q", request, question, out, want)
			}
		}
	}
}

// A manifest may be gone when a newer one is in the log.
func TestOlderManifestThatIsGoneIsNoDamage(t *testing.T) {
	for question := range 12 {
		l := archivedLog(20, 10)
		r := newRig(t, l, `{"offset":3}`)
		asked := 0
		r.asks = func(Question) {
			if asked == question {
				l.archiveUpTo(15)
				l.purge()
			}
			asked++
		}
		if out := r.run(); out != numbers(3, 20) {
			t.Errorf("replaced before question %d: sent %q", question, out)
		}
	}
}

// The objects of batches are deleted once their entries are archived, also while a fetch has them
// in its queue.
func TestBatchWhoseObjectIsCollectedMeanwhileIsReadFromTheHistory(t *testing.T) {
	for _, request := range []string{`{"offset":0}`, `{"offset":5,"max_records":9}`, `{"offset":7,"follow":true}`, `{"offset":3,"frames":true}`} {
		for question := range 12 {
			l := archivedLog(20, 0)
			r := newRig(t, l, request)
			asked := 0
			r.asks = func(Question) {
				if asked == question {
					l.archiveUpTo(15)
					l.purge()
					l.collect = true
				}
				asked++
			}
			out := r.run()
			want := newRig(t, archivedLog(20, 0), request).run()
			if out != want {
				t.Errorf("%s, collected before question %d: sent %q, want %q", request, question, out, want)
			}
		}
	}
}

func TestRestOfACollectedBatchIsReadFromTheHistory(t *testing.T) {
	for _, records := range []int{1, 70, 100, 199} { // some of them within a batch
		l := logOf([]int{100, 100}, []int{1})
		r := newRig(t, l, fmt.Sprintf(`{"offset":%d,"window_bytes":150}`, records))
		r.run()
		l.archiveUpTo(1)
		l.purge()
		l.collect = true
		for r.last == nil && r.run(word("1000000")) != "" {
		}
		if want := "204 next 201 of 201"; r.last == nil || describe(r.last) != want {
			t.Errorf("from %d: ended with %+v, want %s", records, r.last, want)
		}
		if r.core.records != int64(201-records) {
			t.Errorf("from %d: %d records", records, r.core.records)
		}
	}
}

func TestMissingPayloadThatIsStillValidIsDamage(t *testing.T) {
	for archived, key := range map[uint64]string{0: "object", 10: "segment"} {
		l := archivedLog(20, int(archived))
		l.payloadOf(4, corruptPayload())
		lookUps := 0
		r := newRig(t, l, `{"offset":2}`)
		r.asks = func(q Question) {
			if _, ok := q.(LookUp); ok {
				lookUps++
			}
		}
		r.expect("2; 3; CORRUPT 4-4 next 5 of 20")
		if lookUps != 2 { // one at the start
			t.Errorf("%s: %d look-ups", key, lookUps)
		}
	}
}

// A batch that is damaged in the segment as well is damage, whatever the history says meanwhile.
func TestBatchThatIsDamagedInTheHistoryTooIsDamage(t *testing.T) {
	l := archivedLog(20, 0)
	l.payloadOf(4, corruptPayload())
	r := newRig(t, l, `{"offset":2}`)
	asked := false
	r.asks = func(q Question) {
		if _, ok := q.(Load); ok && !asked {
			asked = true
			l.archiveUpTo(15)
		}
	}
	r.expect("2; 3; CORRUPT 4-4 next 5 of 20")
}

func TestHistoryThatMovesWithEachReadEndsTheFetchWithARetryableError(t *testing.T) {
	l := archivedLog(200, 100)
	l.payloadOf(4, corruptPayload())
	r := newRig(t, l, `{"offset":2}`)
	loads := 0
	r.asks = func(q Question) {
		if _, ok := q.(Load); ok {
			loads++
			l.archiveUpTo(l.history.End.Sequence + 1)
		}
	}
	r.run()
	if r.last.Err == nil || r.last.Err.Code != protocol.CodeUnavailable || r.last.Next != 4 {
		t.Errorf("ended with %+v", r.last)
	}
	if loads > maxMoved+2 {
		t.Errorf("%d loads", loads)
	}
}

func TestDamageOfAHistoryIsNamedAndPassed(t *testing.T) {
	damagedPage := func() *modelLog {
		l := archivedLog(20, 10)
		l.damagePage(4) // entries 4 to 6, offsets 3 to 5
		return l
	}
	for _, c := range []struct{ name, request, want string }{
		{"before it", `{"offset":1}`, "1; 2; CORRUPT 3-5 next 6 of 20"},
		{"from earliest", `{"from":"earliest"}`, "0; 1; 2; CORRUPT 3-5 next 6 of 20"},
		{"at its begin", `{"offset":3}`, "CORRUPT 3-5 next 6 of 20"},
		{"within it", `{"offset":4}`, "CORRUPT 4-5 next 6 of 20"},
		{"behind it", `{"offset":6}`, numbers(6, 20)},
		{"by time before it", `{"time":"1970-01-01T00:00:00.00000102Z"}`, "1; 2; CORRUPT 3-5 next 6 of 20"},
		{"by time within it", `{"time":"1970-01-01T00:00:00.00000105Z"}`, "CORRUPT 3-5 next 6 of 20"},
		{"by time behind it", `{"time":"1970-01-01T00:00:00.00000108Z"}`, numbers(7, 20)},
	} {
		t.Run(c.name, func(t *testing.T) { newRig(t, damagedPage(), c.request).expect(c.want) })
	}
}

func TestHistoryWithoutAnIndexIsDamaged(t *testing.T) {
	lost := archivedLog(20, 10)
	lost.noIndex = true
	newRig(t, lost, `{"offset":4}`).expect("CORRUPT 4-9 next 10 of 20")
	newRig(t, lost, `{"from":"earliest"}`).expect("CORRUPT 0-9 next 10 of 20")
	newRig(t, lost, `{"time":"1970-01-01T00:00:00.00000105Z"}`).expect("CORRUPT 0-9 next 10 of 20")
	newRig(t, lost, `{"offset":10}`).expect(numbers(10, 20))
	newRig(t, lost, `{"time":"1970-01-01T00:00:00.00000113Z"}`).expect(numbers(12, 20))
}

func TestManyDamagedPartsOfAHistoryArePassedOneByOne(t *testing.T) {
	l := archivedLog(101, 100)
	for s := uint64(1); s <= 100; s += pageEntries {
		l.damagePage(s)
	}
	for at := 2; at < 99; {
		next := min((at/pageEntries+1)*pageEntries, 100)
		newRig(t, l, fmt.Sprintf(`{"offset":%d}`, at)).expect(fmt.Sprintf("CORRUPT %d-%d next %d of 101", at, next-1, next))
		at = next
	}
	newRig(t, l, `{"offset":100}`).expect(numbers(100, 101))
}

func TestBatchThatCouldNotBeArchivedIsDamageWithoutARead(t *testing.T) {
	l := logOf([]int{1, 2, 1}, []int{1})
	l.archiveUpTo(forever)
	l.giveUp(1)
	for request, want := range map[string]string{
		`{"offset":0}`:               "0; CORRUPT 1-2 next 3 of 5",
		`{"offset":2,"frames":true}`: "CORRUPT 2-2 next 3 of 5",
		`{"offset":3}`:               "3; 4; 204 next 5 of 5",
	} {
		r := newRig(t, l, request)
		r.asks = func(q Question) {
			if load, ok := q.(Load); ok {
				for _, x := range append(load.Extents, load.Ahead...) {
					if x.Key == "" {
						t.Errorf("%s: the fetch loads what is not stored", request)
					}
				}
			}
		}
		r.expect(want)
	}
}

func TestFetchWaitsForAStoreThatReturnsNoEntries(t *testing.T) {
	for _, start := range []string{`"offset":3`, `"from":"earliest"`, `"time":"1970-01-01T00:00:00.00000104Z"`} {
		l := archivedLog(20, 10)
		l.absent = true
		r := newRig(t, l, `{`+start+`,"window_bytes":1000}`)
		r.expect("")
		for range 60 { // five minutes
			if told := r.pass(testSettings.Heartbeat); told != "" && !strings.HasPrefix(told, "100 ") {
				t.Fatalf("%s: %q", start, told)
			}
			r.expect("", word("0"))
		}
		if r.last != nil {
			t.Fatalf("%s: the fetch ended with %+v", start, r.last)
		}
		l.absent = false
		if told := r.pass(2 * longestPause); !strings.HasSuffix(told, numbers(3, 20)) {
			t.Errorf("%s: after the store is back: %q", start, told)
		}
	}
}

func TestUnpacedFetchEndsWhenTheStoreReturnsNoEntries(t *testing.T) {
	l := archivedLog(20, 10)
	l.absent = true
	r := newRig(t, l, `{"offset":3}`)
	r.expect("")
	if told := r.pass(testSettings.StorePatience); told != "STORE_UNAVAILABLE next 3 of 20" {
		t.Fatalf("%q", told)
	}
	if !strings.Contains(r.last.Description, "fewer requests") {
		t.Errorf("the cause is missing: %s", r.last.Description)
	}
}

func TestFetchOfTheStreamNeedsNoHistory(t *testing.T) {
	l := archivedLog(20, 10)
	l.absent = true
	newRig(t, l, `{"offset":10}`).expect(numbers(10, 20))
	newRig(t, l, `{"time":"1970-01-01T00:00:00.00000113Z"}`).expect(numbers(12, 20))
}

func TestHeartbeatsDuringALongReadOfTheHistory(t *testing.T) {
	r := newRig(t, archivedLog(20, 10), `{"offset":3,"follow":true}`)
	r.core.Step(r.now, nil)
	r.advance()
	fx := r.core.Step(r.now, []Event{Moved{r.end.Known()}, LookedUp{r.log.state()}})
	if _, ok := fx.Ask.(Narrow); !ok {
		t.Fatalf("%+v", fx)
	}
	r.wake = fx.Wake
	for range 20 {
		if told := r.pass(testSettings.Heartbeat); told != "100 next 3 of 20" {
			t.Fatalf("%q", told)
		}
		r.expect("", word("0"))
	}
	r.answer(fx.Ask)
	r.expect(strings.TrimSuffix(numbers(3, 20), "; 204 next 20 of 20"))
}

func TestHistoryIsFoundBehindAClockThatWasAhead(t *testing.T) {
	l := archivedLog(6, 0) // times 1010 to 1060
	l.time = 5000
	for range 4 { // 5010 to 5040
		l.commit(1)
	}
	l.time = 1060
	for range 8 { // 1070 to 1140
		l.commit(1)
		l.entries[len(l.entries)-1].RisingFrom = 11
	}
	for _, archived := range []uint64{0, 1, 5, 9, 10, 11, 12, 15} {
		l := l.clone()
		l.archiveUpTo(archived)
		for i := range l.entries[18:] {
			l.entries[18+i].RisingFrom = 11
		}
		l.purge()
		for nanos, offset := range map[int]int64{1: 0, 1011: 1, 1065: 6, 1070: 6, 1071: 11, 1135: 17} {
			r := newRig(t, l, fmt.Sprintf(`{"time":"1970-01-01T00:00:00.%09dZ","max_records":1}`, nanos))
			if out := r.run(); !strings.HasPrefix(out, fmt.Sprint(offset)+";") {
				t.Errorf("archived up to %d, from %d ns on: sent %q, want offset %d", archived, nanos, out, offset)
			}
		}
	}
}

func TestErrorOfAHistoryEndsTheFetch(t *testing.T) {
	l := archivedLog(20, 10)
	r := newRig(t, l, `{"offset":3}`)
	r.core.Step(r.now, nil)
	r.advance()
	r.core.Step(r.now, []Event{Moved{r.end.Known()}, LookedUp{r.log.state()}})
	unavailable := protocol.NewError(protocol.CodeInternal, "")
	r.expect("INTERNAL next 3 of 20", Failed{Err: unavailable})
}
