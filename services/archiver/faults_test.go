package archiver

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

func TestUnreadableBatchIsGivenUp(t *testing.T) {
	for name, change := range map[string]func(f *faulty, lost string){
		"missing": func(f *faulty, lost string) {
			f.read = func(_ context.Context, key string) error { return when(key == lost, objectstore.ErrNotFound) }
		},
		"altered": func(f *faulty, lost string) {
			f.alter = func(key string, _ int64, content []byte) {
				if key == lost {
					content[0]++
				}
			}
		},
		"bad disk": func(f *faulty, lost string) {
			f.read = func(_ context.Context, key string) error { return when(key == lost, objectstore.ErrMedium) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start(nil)
			for i := range 40 {
				w.append(0, frameOf(fmt.Sprint("frame ", i)))
			}
			w.fill()
			lost := w.entries[20].Entry.Batches[0].Extent.Key
			w.store.faults(func(f *faulty) { change(f, lost) })
			job := w.job(messages.History{})
			job.GiveUp = true
			m := w.archives(job)
			if m.Damaged != 2 {
				t.Errorf("%d records are damaged", m.Damaged)
			}
			w.wantArchived(m.History, fmt.Sprintf("%d.0", w.entries[20].Sequence))
		})
	}
}

// A block that is damaged costs all of its batches, and no other ones.
func TestDamagedBlockIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	lost := w.entries[4]
	w.store.faults(func(f *faulty) {
		f.alter = func(key string, _ int64, content []byte) {
			if key == lost.Entry.Batches[0].Extent.Key {
				content[0]++
			}
		}
	})
	job := w.job(messages.History{})
	job.GiveUp = true
	m := w.archives(job)
	if m.Damaged != 6 {
		t.Errorf("%d records are damaged", m.Damaged)
	}
	w.wantArchived(m.History, "5.0", "5.1", "5.2")
}

// The batches may be intact: only what is damaged is given up.
func TestStoreThatIsAwayIsNotGivenUp(t *testing.T) {
	w := newWorld(t)
	w.start(func(c *Config) { c.Patience = 10 * time.Millisecond })
	w.fill()
	w.store.faults(func(f *faulty) {
		f.read = func(_ context.Context, key string) error {
			return when(objectstore.KeyKind(key).HasBatches(), objectstore.ErrDenied)
		}
	})
	job := w.job(messages.History{})
	job.GiveUp = true
	wantReason(t, w.fails(job), objectstore.ErrDenied.Error())
}

func TestJobOutlastsPassingFaults(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	var reads atomic.Int64
	seen := make(map[string]int)
	w.store.faults(func(f *faulty) {
		f.put = func(_ context.Context, n int, key string) error {
			seen[key]++
			return when(n%2 == 1, objectstore.ErrUnreachable)
		}
		f.read = func(context.Context, string) error { return when(reads.Add(1)%3 == 0, objectstore.ErrThrottled) }
		f.alter = func(_ string, _ int64, content []byte) {
			if reads.Load()%4 == 0 && len(content) > 0 {
				content[len(content)/2]++
			}
		}
	})
	m := w.archives(w.job(messages.History{}))
	w.store.faults(func(f *faulty) { f.put, f.read, f.alter = nil, nil, nil })
	w.wantArchived(m.History)
	if len(seen) < 4 {
		t.Errorf("%d puts", len(seen))
	}
	for key, n := range seen {
		if n > 1 {
			t.Errorf("%q was put %d times", key, n)
		}
	}
}

func TestStoreThatTakesNothingFailsTheJob(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		puts int
	}{
		"full":        {objectstore.ErrFull, 1},
		"unreachable": {objectstore.ErrUnreachable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start(func(config *Config) { config.Patience = 100 * time.Millisecond })
			w.fill()
			w.store.faults(func(f *faulty) { f.put = func(context.Context, int, string) error { return c.err } })
			wantReason(t, w.fails(w.job(messages.History{})), "store the segment", c.err.Error())
			if w.store.puts < c.puts || c.puts == 1 && w.store.puts > 1 {
				t.Errorf("%d puts", w.store.puts)
			}
		})
	}
}

// A store may confirm a put and have something else.
func TestSegmentThatCannotBeReadBackIsPutAgain(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	var first atomic.Value
	first.Store("")
	w.store.faults(func(f *faulty) {
		f.put = func(_ context.Context, n int, key string) error {
			if n == 1 {
				first.Store(key)
			}
			return nil
		}
		f.alter = func(key string, offset int64, content []byte) {
			const at = 60 // in the first frame
			if key == first.Load() && offset <= at && at < offset+int64(len(content)) {
				content[at-offset]++
			}
		}
	})
	m := w.archives(w.job(messages.History{}))
	w.wantArchived(m.History)
	if w.store.puts != 3 {
		t.Errorf("%d puts, want 2 of the segment and one of the manifest", w.store.puts)
	}
}

func TestSegmentThatCanNeverBeReadBackFailsTheJob(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	w.store.faults(func(f *faulty) {
		f.alter = func(key string, _ int64, content []byte) {
			if objectstore.KeyKind(key) == objectstore.KindSegment {
				clear(content)
			}
		}
	})
	wantReason(t, w.fails(w.job(messages.History{})), errReread.Error())
	if w.store.puts != maxRereads {
		t.Errorf("%d puts", w.store.puts)
	}
}

func TestManifestThatDoesNotFitTheJobFailsIt(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	first := w.archives(w.job(messages.History{}))
	w.fill()
	for name, change := range map[string]func(*messages.Archive){
		"another end":       func(j *messages.Archive) { j.Base.End = messages.Position{Sequence: 2, Offset: 4} },
		"another start":     func(j *messages.Archive) { j.Base.Start = 1 },
		"another partition": func(j *messages.Archive) { j.Partition.Number++; j.Partition.Log = 1 },
		"a missing one":     func(j *messages.Archive) { j.Base.Manifest += "0" },
		"a segment": func(j *messages.Archive) {
			j.Base.Manifest = w.segments(first.History.Manifest)[1].Entry.Batches[0].Extent.Key
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := w.job(first.History)
			change(&job)
			part := *w
			part.T = t
			if job.Partition.Log != partition.Log {
				_, err := w.peer.Subscribe(messages.ReplicatorSubject(job.Partition), "", w.receive)
				part.must(err)
				part.must(w.peer.Flush(patient))
			}
			wantReason(t, part.fails(job), "manifest")
		})
	}
}
