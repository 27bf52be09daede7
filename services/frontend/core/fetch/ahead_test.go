package fetch

import (
	"slices"
	"strconv"
	"testing"

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
