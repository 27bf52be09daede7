package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func isDamage(err error) bool {
	_, ok := errors.AsType[*Damage](err)
	return ok
}

// wantDamage checks an error: which object it names, the offsets, and where the damage ends.
func wantDamage(t *testing.T, err error, key, offsets string, next messages.Position) {
	t.Helper()
	damage, ok := errors.AsType[*Damage](err)
	if !ok {
		t.Fatalf("error %v, want damage of %s", err, key)
	}
	if damage.Key != key || damage.Next != next || !strings.Contains(err.Error(), offsets) || !strings.Contains(err.Error(), key) {
		t.Errorf("damage of %s up to %+v: %v\nwant damage of %s up to %+v with %q", damage.Key, damage.Next, err, key, next, offsets)
	}
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("%v is not CORRUPT", err)
	}
}

// three has three segments: entries 1 to 4, 5 to 9, and 10.
func three(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.archive(0, 1, 3, 0)
	f.gap(5)
	f.archive(2, 0, 1, 1, 1)
	f.archive(1)
	return f
}

func (f *fixture) entriesFrom(from uint64) error {
	_, err := f.reader.Entries(f.Context(), f.history, partition, from, 10)
	return err
}

func TestMissingSegmentIsNamedWithItsOffsets(t *testing.T) {
	f := three(t)
	key := f.writer.Manifest.Segments[1].Key
	must(t, f.store.Delete(t.Context(), key))
	wantDamage(t, f.entriesFrom(6), key, "the offsets 4 to 13,", messages.Position{Sequence: 10, Offset: 14})
	must(t, f.entriesFrom(4))
	must(t, f.entriesFrom(10))
	if f.store.anew == 0 {
		t.Error("the segment was read again over the same connection")
	}
}

func TestMissingManifestIsDamageOfTheWholeHistory(t *testing.T) {
	f := three(t)
	must(t, f.store.Delete(t.Context(), f.history.Manifest))
	wantDamage(t, f.entriesFrom(6), f.history.Manifest, "the offsets 0 to 14,", messages.Position{Sequence: 11, Offset: 15})
	_, err := f.reader.NarrowOffset(t.Context(), f.history, partition, 3, 1, 11)
	wantDamage(t, err, f.history.Manifest, "the offsets 0 to 14,", messages.Position{Sequence: 11, Offset: 15})
}

func TestMissingListIsDamageOfItsSegments(t *testing.T) {
	f := newFixtureOf(t, &memory{objects: make(map[string][]byte)})
	for range manifest.MaxSegments + 1 {
		f.archive(1)
	}
	key := f.writer.Manifest.Lists[0].Key
	must(t, f.store.Delete(t.Context(), key))
	end := messages.Position{Sequence: manifest.ListSegments + 1, Offset: manifest.ListSegments}
	wantDamage(t, f.entriesFrom(100), key, "the offsets 0 to 255,", end)
	must(t, f.entriesFrom(end.Sequence))
	left, err := f.reader.NarrowOffset(t.Context(), f.history, partition, 100, 1, f.history.End.Sequence+1)
	if must(t, err); left != (Range{1, 1, end.Sequence}) {
		t.Errorf("%+v, want the entries of the list", left)
	}
}

// otherSegment returns a segment of another partition.
func (f *fixture) otherSegment() []byte {
	f.Helper()
	w := *f.writer
	w.Partition.TopicID++
	entries := []messages.LoggedEntry{{Sequence: 5, Entry: messages.Entry{TopicID: w.Partition.TopicID}}}
	s := w.Segment(entries, nil)
	content, err := f.store.Store.ReadRange(f.Context(), s.Key, 0, s.Size)
	must(f, err)
	return content
}

// damage changes bytes of an object in the folder of the store.
func (f *fixture) damage(key string, change func(content []byte) []byte) {
	f.Helper()
	path := filepath.Join(f.folder, filepath.FromSlash(key))
	content, err := os.ReadFile(path)
	must(f, err)
	must(f, os.WriteFile(path, change(content), 0o600))
}

func TestDamagedPageIsNamedWithItsOffsets(t *testing.T) {
	f := newFixture(t)
	f.archive(repeat(3000, 1)...)
	footer := f.footer()
	const damaged = 3
	p, next := footer.Pages[damaged], footer.Pages[damaged+1]
	f.damage(footer.Key, func(content []byte) []byte {
		content[p.Position+p.Length/2] ^= 4
		return content
	})
	f.cold()
	offsets := fmt.Sprintf("the offsets %d to %d,", p.Base, next.Base-1)
	for _, from := range []uint64{p.First, p.First + 5, next.First - 1} {
		wantDamage(t, f.entriesFrom(from), footer.Key, offsets, messages.Position{Sequence: next.First, Offset: next.Base})
	}
	for _, from := range []uint64{1, p.First - 1, next.First, 3000} {
		must(t, f.entriesFrom(from))
	}
	left, err := f.reader.NarrowOffset(t.Context(), f.history, partition, p.Base+5, 1, 3001)
	if must(t, err); left != (Range{1, p.First, next.First}) {
		t.Errorf("%+v, want the damaged page", left)
	}
}

func TestDamageAnywhereInTheIndexesIsNoticed(t *testing.T) {
	f := three(t)
	s := f.writer.Manifest.Segments[1]
	for name, c := range map[string]struct {
		key    string
		change func([]byte) []byte
	}{
		"a byte of the manifest":         {f.history.Manifest, func(c []byte) []byte { c[len(c)/2]++; return c }},
		"a byte of its head":             {f.history.Manifest, func(c []byte) []byte { c[13]++; return c }},
		"the end of the manifest":        {f.history.Manifest, func(c []byte) []byte { return c[:len(c)-1] }},
		"all of the manifest":            {f.history.Manifest, func([]byte) []byte { return nil }},
		"a byte of the footer":           {s.Key, func(c []byte) []byte { c[len(c)-40]++; return c }},
		"the end of the segment":         {s.Key, func(c []byte) []byte { return c[:len(c)-1] }},
		"a segment of another partition": {s.Key, func([]byte) []byte { return f.otherSegment() }},
	} {
		t.Run(name, func(t *testing.T) {
			var before []byte
			f.damage(c.key, func(content []byte) []byte {
				before = bytes.Clone(content)
				return c.change(content)
			})
			f.cold()
			if err := f.entriesFrom(5); !isDamage(err) {
				t.Errorf("error %v, want damage", err)
			}
			f.damage(c.key, func([]byte) []byte { return before })
			f.cold()
			must(t, f.entriesFrom(5))
		})
	}
}

func TestManifestOfAnotherPartitionOrHistoryIsDamage(t *testing.T) {
	f := three(t)
	other := partition
	other.TopicID++
	if _, err := f.reader.Entries(t.Context(), f.history, other, 1, 1); !isDamage(err) {
		t.Errorf("error %v, want damage", err)
	}
	f.cold()
	f.history.End.Offset++
	if err := f.entriesFrom(1); !isDamage(err) {
		t.Errorf("error %v, want damage", err)
	}
}

func TestAHistoryIsThatOfEveryIncarnation(t *testing.T) {
	f := three(t)
	later := partition
	later.Incarnation = 3
	if _, err := f.reader.Entries(t.Context(), f.history, later, 1, 1); err != nil {
		t.Error(err)
	}
}

func TestBitThatIsFlippedOnTheWayIsNoDamage(t *testing.T) {
	f := three(t)
	f.history.Size = 0 // another read, of the head of the manifest
	for flipped := 1; flipped <= 3; flipped++ {
		altered := 0
		f.cold()
		f.reader.config.Altered = func(error) { altered++ }
		f.store.count()
		f.store.after = func(n int, _ string, _ int64, content []byte) {
			if n == flipped {
				content[len(content)-10]++
			}
		}
		if err := f.entriesFrom(5); err != nil || altered != 1 {
			t.Errorf("read %d is altered: %v, counted %d times", flipped, err, altered)
		}
	}
}

func TestContentThatIsWrongInAnotherWayEachTimeMayPass(t *testing.T) {
	f := three(t)
	f.store.after = func(n int, _ string, _ int64, content []byte) { content[len(content)-10] ^= byte(n) }
	if err := f.entriesFrom(5); err == nil || isDamage(err) {
		t.Errorf("error %v, want one that may pass", err)
	}
	f.store.after = nil
	must(t, f.entriesFrom(5))
}

func TestErrorOfTheStoreMayPass(t *testing.T) {
	for _, cause := range []error{objectstore.ErrThrottled, objectstore.ErrUnreachable, objectstore.ErrDenied, objectstore.ErrShort} {
		for failing := 1; failing <= 3; failing++ {
			f := three(t)
			f.history.Size = 0
			failed := 0
			f.reader.config.Failed = func(error) { failed++ }
			f.store.before = func(_ context.Context, n int, _ string) error {
				if n == failing {
					return cause
				}
				return nil
			}
			if err := f.entriesFrom(5); !errors.Is(err, cause) || isDamage(err) || failed != 1 {
				t.Errorf("request %d fails: %v, counted %d times; want %v", failing, err, failed, cause)
			}
			must(t, f.entriesFrom(5))
		}
	}
}

func TestDamageIsForgotten(t *testing.T) {
	f := three(t)
	s := f.writer.Manifest.Segments[1]
	var before []byte
	f.damage(s.Key, func(content []byte) []byte {
		before = content
		return nil
	})
	for range 3 {
		if err := f.entriesFrom(5); !isDamage(err) {
			t.Fatalf("error %v, want damage", err)
		}
	}
	if n := f.store.count(); n > objectstore.Reads+2 {
		t.Errorf("%d reads: damage is not remembered", n)
	}
	f.damage(s.Key, func([]byte) []byte { return before })
	i, _ := f.reader.cache.GetIfPresent(part{s.Key, index})
	i.until = time.Now().Add(-time.Nanosecond)
	f.reader.cache.Set(part{s.Key, index}, i)
	must(t, f.entriesFrom(5))
}
