package stagerwatch

import (
	"fmt"
	"slices"
	"testing"
)

// rounds ends rounds in which these stagers announce themselves, and reports whether
// anything changed.
func rounds(w *Watch, n int, names ...string) (changed bool) {
	for range n {
		for _, name := range names {
			changed = w.Step(Alive{name}) || changed
		}
		changed = w.Step(RoundEnds{}) || changed
	}
	return changed
}

func wantLive(t *testing.T, w *Watch, want ...string) {
	t.Helper()
	if got := w.Live(); !slices.Equal(got, want) {
		t.Fatalf("alive are %q, want %q", got, want)
	}
}

func TestStagersAreAliveOnceTheyAnnounceThemselves(t *testing.T) {
	w := new(Watch)
	wantLive(t, w)
	if !rounds(w, 1, "b", "a", "c") {
		t.Error("three more stagers are no change")
	}
	wantLive(t, w, "a", "b", "c")
	if rounds(w, 100, "c", "b", "a") {
		t.Error("the same stagers are a change")
	}
	wantLive(t, w, "a", "b", "c")
}

func TestStagerIsNotAliveAfterSilentRounds(t *testing.T) {
	w := new(Watch)
	rounds(w, 5, "a", "b")
	if rounds(w, silentRounds-1, "b") {
		t.Error("a change before a has been silent for long enough")
	}
	wantLive(t, w, "a", "b")
	if !rounds(w, 1, "b") {
		t.Error("no change when a has been silent for long enough")
	}
	wantLive(t, w, "b")
	if !rounds(w, 1, "a", "b") {
		t.Error("no change when a continues")
	}
	wantLive(t, w, "a", "b")
}

func TestAnnouncementEndsASilence(t *testing.T) {
	w := new(Watch)
	for range 10 {
		rounds(w, 1, "a")
		rounds(w, silentRounds-1)
	}
	wantLive(t, w, "a")
}

func TestMemoryIsBounded(t *testing.T) {
	w := new(Watch)
	for i := range 2 * mostStagers {
		w.Step(Alive{fmt.Sprint(i)})
	}
	if n := len(w.Live()); n != mostStagers {
		t.Errorf("%d stagers are kept, want %d", n, mostStagers)
	}
	if w.Step(Alive{}) || slices.Contains(w.Live(), "") {
		t.Error("a stager without a name is kept")
	}
	rounds(w, 1+silentRounds)
	wantLive(t, w)
	rounds(w, 1, "late")
	wantLive(t, w, "late")
}

func TestLiveIsNotChangedLater(t *testing.T) {
	w := new(Watch)
	rounds(w, 1, "b", "c")
	before := w.Live()
	rounds(w, 1, "a", "c")
	rounds(w, silentRounds, "a")
	if !slices.Equal(before, []string{"b", "c"}) {
		t.Errorf("became %q", before)
	}
}
