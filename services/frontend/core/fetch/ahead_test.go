package fetch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// loadsOf runs a fetch to its end, or until it waits, and returns its loads.
func loadsOf(t *testing.T, log *modelLog, request string) (loads []Load) {
	t.Helper()
	r := newRig(t, log, request)
	r.asks = func(q Question) {
		if load, ok := q.(Load); ok {
			loads = append(loads, load)
		}
	}
	r.run()
	return loads
}

// positions returns where the extents are, which in the model is the offset of the batch.
func positions(extents []messages.Extent) (all []int64) {
	for _, x := range extents {
		all = append(all, x.Offset)
	}
	return all
}

func TestLoadNamesWhatTheNextLoadsNeed(t *testing.T) {
	log := logOf([]int{1, 1}, []int{1}, []int{1, 1, 1}) // batches of the same size at the offsets 0 to 5
	size := 0
	for _, p := range log.payloads {
		size = len(p.Bytes)
	}
	window := "\"window_bytes\":" + strconv.Itoa(size)
	for name, c := range map[string]struct {
		request string
		first   []int64
		ahead   []int64
	}{
		"twice the window":         {`{"offset":0,` + window + `}`, []int64{0}, []int64{1, 2}},
		"from an offset":           {`{"offset":3,` + window + `}`, []int64{3}, []int64{4, 5}},
		"no more than max_records": {`{"offset":0,"max_records":2,` + window + `}`, []int64{0}, []int64{1}},
		"no more than max_bytes":   {`{"offset":0,"max_bytes":` + strconv.Itoa(2*size) + `,` + window + `}`, []int64{0}, []int64{1}},
		"nothing is left":          {`{"offset":5,` + window + `}`, []int64{5}, nil},
		"everything in one load":   {`{"offset":0}`, []int64{0, 1, 2, 3, 4, 5}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			loads := loadsOf(t, log, c.request)
			if len(loads) == 0 || !slices.Equal(positions(loads[0].Extents), c.first) || !slices.Equal(positions(loads[0].Ahead), c.ahead) {
				t.Fatalf("the first load is %v and then %v, want %v and then %v",
					positions(loads[0].Extents), positions(loads[0].Ahead), c.first, c.ahead)
			}
		})
	}
}

func TestLoadSaysHowMuchMayBeReadBeyondIt(t *testing.T) {
	log := newLog()
	for range 100 {
		log.commit(repeated(10, 1)...)
	}
	size := int64(len(log.payloads[0].Bytes)) // of all below offset 10
	for request, want := range map[string]int64{
		`{"offset":0,"window_bytes":4194304}`:                        4 * 4194304,
		`{"offset":0,"window_bytes":67108864}`:                       MaxBeyond,
		`{"offset":0,"window_bytes":1,"max_records":3}`:              2,
		`{"offset":0,"window_bytes":4194304,"max_records":2}`:        0,
		`{"offset":0,"window_bytes":1,"max_bytes":100}`:              2,
		fmt.Sprintf(`{"offset":0,"max_bytes":%d}`, 4*size):           0,
		`{"offset":0,"follow":true,"window_bytes":1,"max_bytes":1}`:  0,
		`{"offset":0,"follow":true,"window_bytes":10,"frames":true}`: 40,
	} {
		loads := loadsOf(t, log, request)
		if len(loads) == 0 || loads[0].Beyond > want || loads[0].Beyond < want-size {
			t.Errorf("%s: %+v, want %d", request, loads[0].Beyond, want)
		}
	}
}

func TestNothingIsReadAheadWhileTheStoreFails(t *testing.T) {
	log := logOf([]int{1, 1, 1})
	log.payloadOf(0, Payload{Err: protocol.NewError(protocol.CodeStoreUnavailable, "away")})
	r := newRig(t, log, `{"offset":0,"window_bytes":1}`)
	var loads []Load
	r.asks = func(q Question) {
		if load, ok := q.(Load); ok {
			loads = append(loads, load)
		}
	}
	r.run()
	r.pass(longestPause)
	if len(loads) < 2 || len(loads[1].Ahead) > 0 {
		t.Errorf("the loads are %v", loads)
	}
}

// A fetch queues more than it loads at once, so that there is something to read ahead.
func TestQueueHoldsWhatIsReadAhead(t *testing.T) {
	log := newLog()
	for range 8 {
		log.commitRecords([]protocol.Record{{Value: make([]byte, MaxRange/2)}}, []protocol.Record{{Value: make([]byte, MaxRange/2-100)}})
	}
	loads := loadsOf(t, log, `{"offset":0,"window_bytes":8388608}`)
	ahead := int64(0)
	for _, x := range loads[0].Ahead {
		ahead += x.Length
	}
	if ahead <= MaxAhead/2 || ahead > MaxAhead {
		t.Errorf("%d bytes are read ahead", ahead)
	}
}

// A frontend has a thousand fetches, which must not each hold a long queue for a small window.
func TestQueueOfASmallWindowIsSmall(t *testing.T) {
	log := newLog()
	for range 200 {
		log.commit(1, 1, 1, 1, 1)
	}
	r := newRig(t, log, `{"offset":0,"window_bytes":1,"frames":true}`)
	r.run()
	if n := len(r.core.queue); n > 20 {
		t.Errorf("%d batches are queued for a window of one byte", n)
	}
}

// Otherwise the first load after each read of entries would wait for the store.
func TestEntriesAreReadBeforeTheQueueIsEmpty(t *testing.T) {
	log := newLog()
	const batches = 2 * MaxQueue
	for range batches / 64 {
		log.commit(repeated(64, 1)...)
	}
	loaded := 0
	r := newRig(t, log, `{"offset":0,"window_bytes":67108864}`)
	r.asks = func(q Question) {
		if load, ok := q.(Load); ok {
			loaded += len(load.Extents)
			if left := batches - loaded; left > 0 && len(load.Ahead) < min(left, maxLoad) {
				t.Errorf("%d batches are read ahead after %d", len(load.Ahead), loaded)
			}
			if len(r.core.queue) > 2*MaxQueue {
				t.Errorf("%d batches are queued", len(r.core.queue))
			}
		}
	}
	r.run()
	if loaded != batches {
		t.Errorf("%d batches were loaded, want %d", loaded, batches)
	}
}

func repeated(n, value int) []int { return slices.Repeat([]int{value}, n) }

func TestDamageBehindTheQueueIsReportedWhenTheQueueIsDelivered(t *testing.T) {
	for name, damage := range map[string]func(*modelLog){
		"lost entry":    func(l *modelLog) { l.lose(4) },
		"corrupt entry": func(l *modelLog) { l.corrupt(4) },
		"damaged page": func(l *modelLog) {
			l.archiveUpTo(forever)
			l.damagePage(4)
		},
	} {
		log := logOf([]int{1}, []int{1}, []int{1}, []int{1}, []int{1}, []int{1}, []int{1})
		damage(log)
		// The window is as long as one frame, so each batch is loaded by itself.
		r := newRig(t, log, fmt.Sprintf(`{"offset":0,"window_bytes":%d}`, len(log.payloads[0].Bytes)))
		behind := 0
		r.asks = func(q Question) {
			if _, ok := q.(Read); ok && len(r.core.queue) > 0 {
				behind++
			}
		}
		if got := r.run(); !strings.HasPrefix(got, "0; 1; 2; CORRUPT 3-") || behind == 0 {
			t.Errorf("%s: %d reads with a queue, sent %q", name, behind, got)
		}
	}
}

func TestAStoreThatIsAwayBehindTheQueueDelaysNothing(t *testing.T) {
	log := archivedLog(7, 7)
	r := newRig(t, log, `{"offset":0,"window_bytes":2}`)
	r.expect("0; 1")
	log.absent = true
	r.expect("2", word("1"))
	r.expect("", word("3"))
	log.absent = false
	if told := r.pass(time.Second); told != "3; 4" {
		t.Errorf("sent %q", told)
	}
}

func TestTheFirstLoadDoesNotWaitForMoreEntries(t *testing.T) {
	log := newLog()
	for range 10 * readAhead {
		log.commit(1)
	}
	r := newRig(t, log, `{"from":"earliest","window_bytes":67108864}`)
	reads := []int{0}
	r.asks = func(q Question) {
		switch q.(type) {
		case Read:
			reads[len(reads)-1]++
		case Load:
			reads = append(reads, 0)
		}
	}
	r.run()
	if reads[0] != 1 || slices.Max(reads) > maxReads {
		t.Errorf("reads before each load: %d", reads)
	}
}
