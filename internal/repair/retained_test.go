package repair

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// drop stores the manifest that results from a history when retention drops its oldest segments.
func (w *world) drop(h messages.History, segments int) messages.History {
	w.t.Helper()
	m, err := archive.Manifest(w.ctx, w.store, h.Manifest)
	w.must(err)
	m.Key, err = objectstore.NewManifestKey(1, time.Now(), nil)
	w.must(err)
	m.Segments, m.Start = m.Segments[segments:], m.End.Offset
	if len(m.Segments) > 0 {
		m.Start = m.Segments[0].Base
	}
	w.must(w.store.Put(w.ctx, m.Key, [][]byte{manifest.Encode(m)}))
	return m.History()
}

func TestManifestThatResultedFromRetentionIsUsedIfItsEntryIsLost(t *testing.T) {
	for name, missing := range map[string]bool{"the manifest before it is deleted": true, "the manifest before it is still there": false} {
		t.Run(name, func(t *testing.T) {
			w := archivedWorld(t)
			before := w.archive(0, w.history[0], 9)
			w.history[0] = before
			w.append(0, messages.Entry{Epoch: 5})
			after := w.drop(before, 1)
			w.history[0] = after
			w.append(0, messages.Entry{Epoch: 5})
			w.setMark(messages.Mark{Written: messages.Position{Sequence: 12, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
			w.lose(0, 12)
			if missing {
				w.hide(before.Manifest, true)
			}
			p := w.inspect(0).Report.Partitions[0]
			if h := p.History; h == nil || h.Manifest != after.Manifest || h.StartOffset != 12 || !h.Found {
				t.Errorf("the history is %+v, findings %q", h, p.Findings)
			}
			got, err := w.accept(w.ctx)
			w.must(err)
			if len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" {
				t.Errorf("accepted is %+v", got)
			}
			if first := w.log(0)[0].Entry; first.History != after {
				t.Errorf("the first entry is %+v", first)
			}
			w.wantWhole()
		})
	}
}

func TestALogOfWhichEverythingWasDroppedIsContinued(t *testing.T) {
	w := archivedWorld(t)
	before := w.archive(0, w.history[0], 9)
	w.history[0] = w.drop(before, 2)
	if h := w.history[0]; h.Start != h.End.Offset || h.Bytes != 0 {
		t.Fatalf("the history is %+v", h)
	}
	w.append(0, messages.Entry{Epoch: 5})
	w.append(0, messages.Entry{Epoch: 5})
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 12, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	w.lose(0, 12)
	got, err := w.accept(w.ctx)
	w.must(err)
	if len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" {
		t.Errorf("accepted is %+v", got)
	}
	if first := w.log(0)[0].Entry; first.History != w.history[0] || first.BaseOffset != 16 {
		t.Errorf("the first entry is %+v", first)
	}
	w.wantWhole()
}

// A job that was done twice has left two manifests, and the log names one of them.
func TestManifestThatTheLogNamesIsKeptUnlessItIsMissing(t *testing.T) {
	for _, missing := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing: %t", missing), func(t *testing.T) {
			w := archivedWorld(t)
			named := w.archive(0, w.history[0], 9)
			w.history[0] = named
			w.append(0, messages.Entry{Epoch: 5})
			twice := w.drop(named, 0)
			w.setMark(messages.Mark{Written: messages.Position{Sequence: 12, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
			want := named
			if missing {
				w.hide(named.Manifest, true)
				want = twice
			}
			if p := w.inspect(0).Report.Partitions[0]; p.History == nil || p.History.Manifest != want.Manifest || p.History.Found != missing {
				t.Errorf("the history is %+v, findings %q", p.History, p.Findings)
			}
		})
	}
}
