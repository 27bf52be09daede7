package sweeper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core/sweep"
)

// replaceManifest appends an entry with a manifest that lists nothing and has objects wait.
func (w *world) replaceManifest(l *ownedLog, waiting ...string) error {
	m, err := archive.Manifest(w.Context(), w.store, l.history.Manifest)
	if err != nil {
		return err
	}
	m.Lists, m.Segments, m.Start, m.Waiting = nil, nil, m.End.Offset, waiting
	if m.Key, err = objectstore.NewManifestKey(9, time.Now(), nil); err != nil {
		return err
	}
	if err := w.store.Put(w.Context(), m.Key, [][]byte{manifest.Encode(m)}); err != nil {
		return err
	}
	l.history = m.History()
	w.append(l, "", 1<<60)
	return nil
}

// restoredLog is a cluster whose logs were restored from an older copy.
func restoredLog(t *testing.T, meanwhile func(w *world)) *world {
	t.Helper()
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	w.backUp("nats")
	before := *w.logs["orders"]
	meanwhile(w)
	w.restore("nats")
	clear(w.logs)
	w.logs["orders"] = &before
	return w
}

func TestLogsThatAreOlderThanTheStoreAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(w *world)
		want      string
	}{
		"the logs were longer": {func(w *world) {
			for range 4 {
				w.produce(w.logs["orders"])
			}
			w.sweep()
		}, "sweep 2 has read of partition orders/0: entry"},
		"there were several sweeps": {func(w *world) {
			for range 4 {
				w.produce(w.logs["orders"])
				w.sweep()
			}
		}, "sweep 5 has stored a record there, and the newest one that NATS knows is sweep 1"},
		"there was another topic": {func(w *world) {
			w.produce(w.create("events"))
			delete(w.logs, "orders")
			w.sweep()
		}, "has read the log of partition events/0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := restoredLog(t, c.meanwhile)
			before := w.objects(objectstore.Kinds()...)
			for range 3 {
				w.wantEnd(w.sweep(), sweep.LogOlder, c.want)
				w.wantAlarm("log older")
				w.wantBehind(c.want)
			}
			if now := w.objects(objectstore.Kinds()...); len(now) != len(before) {
				t.Errorf("of %d objects %d are left", len(before), len(now))
			}
			w.must(Accept(t.Context(), w.conn, w.js, w.store))
			w.wantAlarm("")
			w.wantBehind("")
			if got := w.sweep(); got.Alarm == sweep.LogOlder {
				t.Errorf("after an operator has accepted it: %+v", got)
			}
		})
	}
}

func TestNewerLogsAreNotBehindAnyMore(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	w.backUp("nats")
	before := *w.logs["orders"]
	w.produce(w.logs["orders"])
	w.sweep()
	w.keep("nats", "newer")
	newer := *w.logs["orders"]
	w.restore("nats")
	w.logs["orders"] = &before
	w.wantEnd(w.sweep(), sweep.LogOlder, "the logs are older")
	w.wantBehind("sweep 2 has read of partition orders/0: entry")
	w.keep("nats", "older")
	w.keep("newer", "nats.copy")
	w.restore("nats")
	w.logs["orders"] = &newer
	w.must(sweepstate.NoteBehind(t.Context(), w.js, &sweepstate.Behind{All: true, Reason: "the copy was made later"}))
	if got := w.sweep(); got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
	w.wantAlarm("")
	w.wantBehind("")
}

func TestAContinuedLogIsNotBehindAnyMore(t *testing.T) {
	w := restoredLog(t, func(w *world) {
		w.create("events")
		w.produce(w.logs["orders"])
		w.sweep()
	})
	w.wantEnd(w.sweep(), sweep.LogOlder, "the logs are older")
	w.wantBehind("sweep 2 has read of partition orders/0: entry")
	l := w.logs["orders"]
	next := l.partition
	next.Incarnation++
	log := partitionlog.New(w.conn, w.js, next)
	target, err := log.Continue(t.Context(), 1, l.last+100)
	w.must(err)
	w.must(target.Append(t.Context(), messages.Entry{TopicID: next.TopicID, Created: true, BaseOffset: l.offset, History: l.history, Watermark: 1}))
	w.must(target.Finish(t.Context()))
	w.must(w.topics.Continue(t.Context(), l.partition, next.Incarnation))
	l.partition, l.last = next, l.last+100
	w.wantBehind("")
	w.wantEnd(w.sweep(), sweep.LogOlder, "has read the log of partition events/0")
	w.wantBehind("")
}

func TestArchiversCompareTheRecordsWithTheLogsWhenTheyStart(t *testing.T) {
	w := restoredLog(t, func(w *world) {
		w.produce(w.logs["orders"])
		w.sweep()
	})
	s := New(Config{Conn: w.conn, JS: w.js, Store: w.store, Logger: zap.NewNop(), Interval: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(patient); s.Stats().Last.Alarm != sweep.LogOlder; <-pause.C {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s.Stats())
		}
	}
	w.wantAlarm("log older")
	w.wantBehind("sweep 2 has read of partition orders/0")
	cancel()
	<-ended
	if got := s.Stats(); got.Ended != 1 || got.Last.Generation != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTopicsThatWereDeletedSinceTheCopyComeBack(t *testing.T) {
	w := restoredLog(t, func(w *world) {
		w.must(w.topics.Delete(context.Background(), "orders"))
		clear(w.logs)
	})
	if got := w.sweep(); got.Alarm != sweep.NoAlarm || got.Reason != "" {
		t.Errorf("no sweep has seen the deletion: %+v", got)
	}
}

func TestAStoreThatIsOlderThanItsLogsIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(w *world)
		want      string
	}{
		"a sweep has stored a record": {func(w *world) { w.sweep() }, ", and the newest one is that of sweep 1"},
		"a segment was archived":      {func(w *world) { w.produce(w.logs["orders"]) }, "the store is older than its logs, or has lost objects: partition orders/0 has the manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.produce(w.create("orders"))
			w.wantEnd(w.sweep(), sweep.NoAlarm, "")
			w.backUp("store")
			c.meanwhile(w)
			w.restore("store")
			before := w.objects(objectstore.Kinds()...)
			for range 3 {
				w.wantEnd(w.sweep(), sweep.StoreOlder, c.want)
				w.wantAlarm("store older")
				w.wantBehind("")
			}
			if now := w.objects(objectstore.Kinds()...); len(now) != len(before) {
				t.Errorf("of %d objects %d are left", len(before), len(now))
			}
		})
	}
}

func TestAnAlarmEndsWhenTheNewerStoreIsRestored(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	w.backUp("store")
	w.sweep()
	w.keep("store", "newer")
	w.restore("store")
	w.wantEnd(w.sweep(), sweep.StoreOlder, "the store is older")
	w.wantAlarm("store older")
	w.keep("newer", "store.copy")
	w.restore("store")
	if got := w.sweep(); got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
	w.wantAlarm("")
}

func TestASweepThatAnotherHasOvertakenLeavesNoRecord(t *testing.T) {
	w := newWorld(t)
	l := w.create("orders")
	w.produce(l)
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	before := w.objects(objectstore.KindRecord)
	deleted := sweep.LogRecord{Topic: "deleted", TopicID: 1 << 40, Sequence: 9, Watermark: 1}
	s := w.sweeper()
	err := s.storeRecord(t.Context(), sweep.StoreRecord{Record: sweep.Record{Number: 1, Generation: 1, Bound: 1, Logs: []sweep.LogRecord{deleted}}, Obsolete: before})
	s.lease.release(t.Context())
	if now := w.objects(objectstore.KindRecord); !errors.Is(err, errOvertaken) || !slices.Equal(now, before) {
		t.Errorf("%v, and the records are %v instead of %v", err, now, before)
	}
	if got := w.sweep(); got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestARecordThatIsNamedAlreadyStays(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	number, key, _, err := newest(t.Context(), w.conn)
	w.must(err)
	s := New(Config{Conn: w.conn, JS: w.js, Store: w.store, Logger: zap.NewNop()})
	w.must(s.nameNewest(t.Context(), number, key)) // its first answer was lost
	if err := s.nameNewest(t.Context(), number, key+"x"); !errors.Is(err, errOvertaken) {
		t.Errorf("another record with the number: %v", err)
	}
}

func TestASweepThatAnotherHasOvertakenRaisesNoAlarm(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	s := w.sweeper()
	_, err := s.readRecords(t.Context())
	w.must(err)
	s.lease.release(t.Context())
	w.wantEnd(w.sweep(), sweep.NoAlarm, "")
	s.ended(t.Context(), sweep.Outcome{Alarm: sweep.LogOlder, Reason: "it has read the records before"}, 0)
	w.wantAlarm("")
	if got := s.Stats().Last; got.Alarm != sweep.NoAlarm || got.Reason != errOvertaken.Error() {
		t.Errorf("the outcome is %+v", got)
	}
}

// wantAlarm compares the alarm that archivers see.
func (w *world) wantAlarm(want string) {
	w.Helper()
	if got, err := sweepstate.Alarm(w.Context(), w.conn); err != nil || got != want {
		w.Errorf("the alarm is %q, %v, want %q", got, err, want)
	}
}

// wantBehind compares why producers of the topic orders get errors.
func (w *world) wantBehind(want string) {
	w.Helper()
	behind, err := sweepstate.Logs(w.Context(), w.conn)
	w.must(err)
	var p protocol.Partition
	for _, l := range w.logs {
		if l.partition.Topic == "orders" {
			p = l.partition
		}
	}
	if got := behind.Damage(p); !strings.Contains(got, want) || (got != "") != (want != "") {
		w.Errorf("%v is behind: %q, want %q", p, got, want)
	}
}

// keep copies a folder, while nothing runs.
func (w *world) keep(name, as string) {
	w.Helper()
	w.stop()
	w.must(os.CopyFS(filepath.Join(w.folder, as), os.DirFS(filepath.Join(w.folder, name))))
	w.start()
}
