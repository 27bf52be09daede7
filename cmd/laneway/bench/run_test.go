package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestCheckerRecognizesRecords(t *testing.T) {
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

func TestAllowanceIsBounded(t *testing.T) {
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

func (s *slowPlace) create(context.Context) error { return nil }

func (s *slowPlace) targets() int { return 1 }

func (s *slowPlace) publish(ctx context.Context, _ int, _ *nats.Msg, _ ...jetstream.PublishOpt) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.sent++
	if s.sent == 2 { // the first one warms up
		time.Sleep(s.stall) //nolint:forbidigo // virtual time
	}
	return ctx.Err()
}

func (s *slowPlace) records(context.Context) (int64, error) { return s.sent - s.lost, nil }

func TestLatencyCountsFromDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(Latency)
		p.Interval, p.Warmup, p.Duration = time.Millisecond, time.Millisecond, time.Second
		round, err := measureLatency(t.Context(), &p, &servers{}, &slowPlace{turn: make(chan struct{}, 1), stall: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		// All 1000 records become due during the stall of one second, one behind the other: the median is late by half of it.
		if round.Records != 1000 || round.Latency.P50 < 480 || round.Latency.P50 > 520 || round.Latency.Max < 990 {
			t.Errorf("%d records, %+v", round.Records, round.Latency)
		}
	})
}

func TestMissingRecordFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(Latency)
		if _, err := measureLatency(t.Context(), &p, &servers{}, &slowPlace{turn: make(chan struct{}, 1), lost: 1}); err == nil || !strings.Contains(err.Error(), "the server has") {
			t.Errorf("error %v", err)
		}
	})
}

// forgetful acknowledges fewer records than it is sent.
type forgetful struct{ sender }

func (forgetful) send(context.Context, *allowance) (int64, error) {
	return 7, errors.New("10 records were sent, 7 were acknowledged")
}

func TestFailedProducerFailsCrew(t *testing.T) {
	c := crew{senders: []sender{forgetful{}, forgetful{}}}
	if _, err := c.send(t.Context(), newAllowance(time.Second, 10)); err == nil {
		t.Error("nothing is said")
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
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

// script returns a program in place of the server.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return file
}

func TestTakenPortIsRetried(t *testing.T) {
	const taken = "[1] [FTL] Error listening on router port: 20991 - listen tcp 127.0.0.1:20991: bind: address already in use"
	for name, c := range map[string]struct {
		text   string // of a server that has written down how it was started
		starts int
		want   string
	}{
		"once":     {"[ $(wc -l < $0.starts) -gt 1 ] && echo '[1] [FTL] no space' || echo '" + taken + "'\nexit 1", 2, "[FTL] no space"},
		"always":   {"echo '[1] [INF] hello'\necho '" + taken + "'\necho '[1] [INF] bye'\nexit 1", portTries, taken[4:]},
		"no error": {"echo hello\necho bye\nexit 1", 1, "exit status 1: bye"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(Publish)
			p.Folder, p.Binary = t.TempDir(), script(t, "echo $@ >> $0.starts\n"+c.text)
			_, err := Run(t.Context(), p)
			if err == nil || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want the end %q", err, c.want)
			}
			if errors.Is(err, syscall.EADDRINUSE) != (name == "always") {
				t.Errorf("of what error is %v", err)
			}
			content, err := os.ReadFile(p.Binary + ".starts")
			if err != nil {
				t.Fatal(err)
			}
			starts := strings.Fields(string(content))
			starts = slices.DeleteFunc(starts, func(word string) bool { return !strings.HasPrefix(word, "127.0.0.1:") })
			slices.Sort(starts)
			if len(slices.Compact(starts)) != 2*c.starts {
				t.Errorf("started on %v, want %d starts", starts, c.starts)
			}
			if left := entries(t, p.Folder); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

func TestNamesServerThatEnded(t *testing.T) {
	p := plan(Publish)
	p.Folder, p.Cluster, p.Versus = t.TempDir(), 3, false
	p.Binary = script(t, `case "$*" in *nats-2.conf) echo "[1] [FTL] no"; exit 1;; esac; exec sleep 60`)
	_, err := Run(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "nats-2 does not start: the process has ended: exit status 1: [FTL] no") {
		t.Errorf("error %v", err)
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
