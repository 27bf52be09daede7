package bench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordsAreRecognised(t *testing.T) {
	const size = 100
	made := func(producer, n int) (all [][]byte) {
		m := newRecordMaker(producer, size)
		for range n {
			value := make([]byte, size)
			m.fill(value)
			all = append(all, value)
		}
		return all
	}
	a, b := made(1, 3), made(2, 2)
	c := newChecker(size)
	for _, value := range [][]byte{a[0], b[0], a[1]} {
		if err := c.record(value); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.several(append(append([]byte{}, b[1]...), a[2]...)); err != nil || c.records != 5 {
		t.Fatalf("%d records, %v", c.records, err)
	}
	for name, spoiled := range map[string][]byte{
		"again": a[2], "one of another length": a[2][:size-1],
	} {
		if err := c.record(spoiled); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := newChecker(size).record(a[1]); err == nil {
		t.Error("a record that was passed over is not missed")
	}
	for _, data := range [][]byte{nil, a[0][:size/2]} {
		if err := newChecker(size).several(data); err == nil {
			t.Errorf("a message of %d bytes is taken", len(data))
		}
	}
}

func TestAnAllowanceEndsByTimeAndByRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAllowance(time.Second, 100)
		if !a.take(60) || a.take(60) {
			t.Error("60 records of 100 are to be had once")
		}
		b := newAllowance(time.Second, 100)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		if b.take(1) {
			t.Error("the time is over")
		}
	})
}

// slowPlace is a place whose only publisher in a stall takes its time.
type slowPlace struct {
	place
	turn  chan struct{} // a mutex would stop the virtual time
	sent  int64
	stall time.Duration // of the first record that is measured
	lost  int64         // how many the server does not have
}

func (s *slowPlace) publish(ctx context.Context, _ []byte) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.sent++
	if s.sent == 2 { // the first one warms up
		time.Sleep(s.stall) //nolint:forbidigo // virtual time
	}
	return ctx.Err()
}

func (s *slowPlace) records(context.Context) (int64, error) { return s.sent - s.lost, nil }

func TestLatencyCountsFromWhenARecordWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(Latency)
		p.Rate, p.Warmup, p.Duration = 1000, time.Millisecond, time.Second
		round, err := measureLatency(t.Context(), &p, &slowPlace{turn: make(chan struct{}, 1), stall: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		// 1000 records are due in the second in which nothing goes on, more than are sent at once: they are late by half of it.
		if round.Records != 1000 || round.Latency.P50 < 480 || round.Latency.P50 > 520 || round.Latency.Max < 990 {
			t.Errorf("%d records, %+v", round.Records, round.Latency)
		}
	})
}

func TestARecordThatTheServerDoesNotHaveFailsTheMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(Latency)
		if _, err := measureLatency(t.Context(), &p, &slowPlace{turn: make(chan struct{}, 1), lost: 1}); err == nil || !strings.Contains(err.Error(), "the server has") {
			t.Errorf("error %v", err)
		}
	})
}

// forgetful acknowledges fewer records than it is sent.
type forgetful struct{ sender }

func (forgetful) send(context.Context, *allowance) (int64, error) {
	return 7, errors.New("10 records were sent, 7 were acknowledged")
}

func TestACrewFailsWithItsProducers(t *testing.T) {
	c := crew{senders: []sender{forgetful{}, forgetful{}}}
	if _, err := c.send(t.Context(), newAllowance(time.Second, 10)); err == nil {
		t.Error("nothing is said")
	}
}

func TestAServerThatCannotStartLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	p := plan(Publish)
	p.Folder, p.Binary = folder, "/bin/false"
	_, err := Run(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "round 1, laneway: ") || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("error %v", err)
	}
	if left := entries(t, folder); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func entries(t *testing.T, folder string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}
