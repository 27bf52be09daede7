package core_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
)

// past is a partition on which a good deal has happened: its log has 20 entries, and
// snapshots cover 15 of them and all.
func past(t *testing.T) *world {
	w := newWorld(t)
	w.settings.SnapshotEvery = 5
	o := w.leader("first")
	o.commit(batches("a", 1, 3)...)
	o.commit(named(batch("b", 1), "x"))
	o.step(fence(9, 4))
	o.settle()
	for n := range int32(6) {
		o.commit(floored(of(7, uint64(n)+1, n), 1))
	}
	o.commit(inEpoch(1, of(8, 1, 0)))
	o.commit(inEpoch(3, of(8, 2, 0)))
	for n := uint64(3); n <= 9; n++ {
		o.commit(inEpoch(3, of(8, n, int32(n)-2)))
	}
	o.commit(floored(named(batch("c", 2), "x"), 1)) // the first one is missing
	o.commit(floored(batch("a", 4), 2), floored(named(batch("b", 2), "z"), 2))
	o.take()
	return w
}

// opinion is all that a new owner makes of the past.
type opinion struct {
	answers []answer
	fences  []messages.ProducerFenced
}

// ask makes a new owner decide what depends on the past, and returns how many entries it
// had to read.
func ask(w *world) (op opinion, read uint64) {
	o := w.leader("second")
	read = o.core.Stats().Replayed
	hand := func(all ...messages.StagedBatch) {
		o.commit(all...)
		op.answers = append(op.answers, answers(w.t, o.take())...)
	}
	hand(floored(batch("a", 2), 2), floored(batch("a", 3), 2), floored(batch("a", 4), 2)) // tickets
	hand(named(batch("d", 1), "x"), named(batch("d", 2), "z"))                            // message ids
	for n := range int32(7) {
		hand(floored(of(7, uint64(n)+20, n), uint64(n)+20)) // 0 is too old, 6 is new
	}
	hand(inEpoch(2, of(8, 20, 8)))
	hand(inEpoch(3, of(8, 21, 8)))
	hand(inEpoch(3, of(8, 22, 1)))
	hand(of(10, 1, 3))
	for epoch := int16(3); epoch <= 5; epoch++ {
		o.step(fence(9, epoch))
		o.settle()
		op.fences = append(op.fences, sentOf[messages.ProducerFenced](o)...)
	}
	w.end()
	return op, read
}

// edit changes every snapshot there is.
func (w *world) edit(change func([]byte) []byte) {
	for sequence, data := range w.snapshots {
		w.snapshots[sequence] = change(data)
	}
}

// rewrite changes what every snapshot says; it can be read.
func (w *world) rewrite(change func(*messages.Snapshot)) {
	w.edit(func(data []byte) []byte {
		s, err := messages.DecodeSnapshot(data)
		if err != nil {
			w.t.Fatalf("a snapshot cannot be read: %v", err)
		}
		change(&s)
		return messages.EncodeSnapshot(s)
	})
}

func TestLogAndSnapshotGiveTheSameState(t *testing.T) {
	w := past(t)
	entries := uint64(len(w.log))
	clear(w.snapshots)
	want, read := ask(w)
	if read != entries {
		t.Fatalf("without a snapshot %d of %d entries are read", read, entries)
	}
	expectOpinion(t, "with both snapshots", past(t), entries-20, want)

	w = past(t)
	delete(w.snapshots, 20)
	expectOpinion(t, "with the older one", w, entries-15, want)
	w = past(t)
	w.snapshots[20][30] ^= 1
	expectOpinion(t, "with the newest one damaged", w, entries-15, want)

	for name, damage := range map[string]func(w *world){
		"empty":            func(w *world) { w.edit(func([]byte) []byte { return nil }) },
		"truncated":        func(w *world) { w.edit(func(data []byte) []byte { return data[:len(data)/2] }) },
		"one byte short":   func(w *world) { w.edit(func(data []byte) []byte { return data[:len(data)-1] }) },
		"of another topic": func(w *world) { w.rewrite(func(s *messages.Snapshot) { s.TopicID++ }) },
		"of another log":   func(w *world) { w.rewrite(func(s *messages.Snapshot) { s.Incarnation++ }) },
		"of nothing":       func(w *world) { w.rewrite(func(s *messages.Snapshot) { *s = messages.Snapshot{TopicID: s.TopicID} }) },
	} {
		w := past(t)
		damage(w)
		expectOpinion(t, "with snapshots that are "+name, w, entries, want)
	}
}

func expectOpinion(t *testing.T, when string, w *world, most uint64, want opinion) {
	t.Helper()
	got, read := ask(w)
	if read != most {
		t.Errorf("%s %d entries are read, want %d", when, read, most)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(opinion{}, answer{}, ticket{})); diff != "" {
		t.Errorf("%s: -from the log +got\n%s", when, diff)
	}
}

func TestASnapshotWithAnyBitFlippedIsNotUsed(t *testing.T) {
	w := past(t)
	for sequence, data := range w.snapshots {
		for i := range len(data) * 8 {
			data[i/8] ^= 1 << (i % 8)
			if _, err := messages.DecodeSnapshot(data); err == nil {
				t.Fatalf("the snapshot of %d is read with bit %d flipped", sequence, i)
			}
			data[i/8] ^= 1 << (i % 8)
		}
	}
}

func TestLogThatContradictsSnapshotIsDamaged(t *testing.T) {
	for name, damage := range map[string]func(w *world){
		"its end was cut off":       func(w *world) { w.log = w.log[:4]; w.streamEnd = 4 },
		"the snapshot's entry only": func(w *world) { w.log = w.log[:19]; w.streamEnd = 19 },
		"it is empty":               func(w *world) { w.log, w.streamEnd = nil, 0 },
		"another offset":            func(w *world) { w.rewrite(func(s *messages.Snapshot) { s.NextOffset++ }) },
		"another time":              func(w *world) { w.rewrite(func(s *messages.Snapshot) { s.Time++ }) },
	} {
		t.Run(name, func(t *testing.T) {
			w := past(t)
			damage(w)
			o := w.start("second")
			o.settle()
			o.expectDamage("the newest snapshot covers its log up to entry 20")
		})
	}
}

// Messages of the stream are lost behind the last entry that is known. Whether entries were in them is
// known only if the mark reserves none.
func TestEndBeforeLostMessagesIsProvenByTheMark(t *testing.T) {
	for name, c := range map[string]struct {
		reserved uint64 // entries beyond the end
		damage   string
	}{
		"nothing is reserved": {0, ""},
		"an entry is":         {1, "groups of its journal are lost, and may have had entries of its log after entry 3, which ends at offset 3"},
	} {
		t.Run(name, func(t *testing.T) {
			w, first := newMarked(t)
			first.commit(batch("a", 2))
			w.suspect = true
			w.mark.Mark.Written = messages.Position{Sequence: 3, Offset: 3}
			w.mark.Mark.Reserved = messages.Position{Sequence: 3 + c.reserved, Offset: 3}
			o := w.start("second")
			o.settle()
			if c.damage != "" {
				o.expectDamage(c.damage)
				return
			}
			if !o.core.Stats().Leading {
				t.Errorf("it does not lead: %+v", o.core.Stats())
			}
		})
	}
}

func TestSealedLogIsReported(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	o.step(release(batch("a", 3)))
	w.sealed = true
	o.loseAppend()
	o.settle()
	o.expectDamage("its log is sealed")
	for range 3 {
		w.pass(10 * time.Second)
		o.step()
		o.step()
		for o.read != nil {
			o.answerRead()
		}
		if o.append != nil {
			t.Fatal("it appends")
		}
	}
	if len(o.damage) != 1 {
		t.Errorf("the damage is reported again: %q", o.damage)
	}
}
