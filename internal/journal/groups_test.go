package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"laneway.dev/pkg/messages"
)

// groupsOf returns a function that reads groups, each of which has the entry with the sequence of its place of
// as many logs. It waits for hold, and counts what it has read.
func groupsOf(logs int, hold <-chan struct{}, groups *atomic.Int64) func(first, last uint64, do func(uint64, *stored)) error {
	return func(first, last uint64, do func(uint64, *stored)) error {
		<-hold
		for place := first; place <= last; place++ {
			groups.Add(1)
			g := &stored{}
			for topic := range logs {
				g.Sections = append(g.Sections, messages.Section{
					Log: messages.LogID{TopicID: uint64(topic)}, Kind: messages.SectionNext, Sequence: place, Entry: []byte{byte(topic), byte(place)},
				})
			}
			do(place, g)
		}
		return nil
	}
}

func TestLogsThatWantTheSameGroupsShareTheirReads(t *testing.T) {
	const logs, groups = 200, 60
	synctest.Test(t, func(t *testing.T) {
		var read atomic.Int64
		hold := make(chan struct{})
		r := newGroupReader(groupsOf(logs, hold, &read))
		var wait sync.WaitGroup
		for topic := range logs {
			wait.Go(func() {
				// Each log begins at another group.
				first := uint64(1 + topic%20)
				places := make([]uint64, groups-int(first)+1)
				for i := range places {
					places[i] = first + uint64(i)
				}
				entries, err := r.entries(t.Context(), messages.LogID{TopicID: uint64(topic)}, run{first: first, places: places})
				if err != nil || len(entries) != len(places) {
					t.Errorf("log %d: %d entries, error %v", topic, len(entries), err)
				}
				for i, e := range entries {
					if e.Sequence != first+uint64(i) || !slices.Equal(e.Data, []byte{byte(topic), byte(e.Sequence)}) {
						t.Errorf("log %d: entry %d is %+v", topic, first+uint64(i), e)
					}
				}
			})
		}
		synctest.Wait()
		close(hold)
		wait.Wait()
		if got, most := read.Load(), int64((maxReads+1)*groups); got > most {
			t.Errorf("%d groups were read for %d logs that want %d of them, want at most %d", got, logs, groups, most)
		}
	})
}

func TestReadThatFailsConcernsOnlyThoseWhoWantItsGroups(t *testing.T) {
	failed := errors.New("failed")
	var read atomic.Int64
	open := make(chan struct{})
	close(open)
	good := groupsOf(2, open, &read)
	r := newGroupReader(func(first, last uint64, do func(uint64, *stored)) error {
		if first <= 500 && 500 <= last {
			return failed
		}
		return good(first, last, do)
	})
	var wait sync.WaitGroup
	for topic, places := range [][]uint64{{1, 2, 500}, {1, 2, 3}} {
		wait.Go(func() {
			_, err := r.entries(t.Context(), messages.LogID{TopicID: uint64(topic)}, run{first: 1, places: places})
			if want := map[int]error{0: failed}[topic]; !errors.Is(err, want) {
				t.Errorf("log %d: error %v, want %v", topic, err, want)
			}
		})
	}
	wait.Wait()
}

func TestGroupThatCannotBeReadKeepsNoOthersFromTheirReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		var read atomic.Int64
		hold := make(chan struct{})
		good := groupsOf(2, hold, &read)
		r := newGroupReader(func(first, last uint64, do func(uint64, *stored)) error {
			if first <= 3 && 3 <= last {
				<-hold
				return failed
			}
			return good(first, last, do)
		})
		// Requests for other groups are under way, so that what follows waits, and is read together.
		var wait sync.WaitGroup
		for n := range uint64(maxReads) {
			wait.Go(func() {
				if _, err := r.entries(t.Context(), messages.LogID{}, run{first: 1, places: []uint64{1000 * (n + 1)}}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for topic, places := range [][]uint64{{3}, {2, 4}} {
			wait.Go(func() {
				_, err := r.entries(t.Context(), messages.LogID{TopicID: uint64(topic)}, run{first: 1, places: places})
				if want := map[int]error{0: failed}[topic]; !errors.Is(err, want) {
					t.Errorf("groups %v: error %v, want %v", places, err, want)
				}
			})
		}
		synctest.Wait()
		close(hold)
		wait.Wait()
	})
}

func TestCallerThatGivesUpIsNotReadFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var read atomic.Int64
		hold := make(chan struct{})
		r := newGroupReader(groupsOf(1, hold, &read))
		ctx, cancel := context.WithCancel(t.Context())
		// More groups, far from each other, than requests are under way at once.
		places := make([]uint64, 3*maxReads)
		for i := range places {
			places[i] = uint64(1000 * (i + 1))
		}
		gaveUp := make(chan error, 1)
		go func() {
			_, err := r.entries(ctx, messages.LogID{}, run{first: 1, places: places})
			gaveUp <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		close(hold)
		synctest.Wait()
		if got := read.Load(); got != maxReads {
			t.Errorf("%d groups were read, want the %d that were under way", got, maxReads)
		}
		if len(r.wanted) > 0 || r.reading > 0 {
			t.Errorf("%d groups are still wanted, and %d requests under way", len(r.wanted), r.reading)
		}
	})
}
