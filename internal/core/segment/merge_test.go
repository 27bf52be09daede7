package segment

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// part returns the segment of a part of a log, as it is read.
func part(t rapid.TB, codec protocol.Compression, log []logged) *Whole {
	t.Helper()
	object, _ := build(t, codec, log)
	w, err := Parse(key, object)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A segment that is merged from parts of a log differs from one of the whole log only in its blocks.
func TestMergedSegmentHasWhatItsPartsHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, codec := genLog.Draw(t, "log"), genCodec.Draw(t, "codec")
		first := rapid.IntRange(0, len(log)).Draw(t, "first")
		second := rapid.IntRange(first, len(log)).Draw(t, "second")
		b := NewBuilder(key, partition, codec)
		for _, entries := range [][]logged{log[:first], log[first:second]} {
			if len(entries) == 0 {
				continue
			}
			if err := b.AddWhole(part(t, genCodec.Draw(t, "codec of a part"), entries)); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range log[second:] {
			if err := b.Add(e.LoggedEntry, e.frames); err != nil {
				t.Fatal(err)
			}
		}
		parts, s, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		merged := bytes.Join(parts, nil)
		whole, want := build(t, codec, log)
		if want.Size = int64(len(merged)); s != want {
			t.Fatalf("the summary is %+v, want %+v", s, want)
		}
		got, entries := all(t, merged), all(t, whole)
		for i := range got {
			for j := range got[i].Entry.Batches {
				x, y := &got[i].Entry.Batches[j].Extent, &entries[i].Entry.Batches[j].Extent
				if x.Length > 0 && !bytes.Equal(read(t, merged, *x), read(t, whole, *y)) {
					t.Fatalf("batch %d of entry %d has another frame", j, got[i].Sequence)
				}
				*x, *y = messages.Extent{}, messages.Extent{}
			}
		}
		if diff := cmp.Diff(entries, got); diff != "" {
			t.Fatalf("-whole +merged\n%s", diff)
		}
	})
}

func TestBlocksAreNotCompressedAgain(t *testing.T) {
	s := from(1, 0)
	for range 1000 {
		s.add(frame(1000))
	}
	first := part(t, protocol.CompressionZstd, s.entries[:500])
	b := NewBuilder(key, partition, "")
	if err := b.AddWhole(first); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.entries[500:] {
		if err := b.Add(e.LoggedEntry, e.frames); err != nil {
			t.Fatal(err)
		}
	}
	parts, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	object := bytes.Join(parts, nil)
	extents := stored(t, object)
	for i, x := range extents[:2] {
		if x.Block.Codec != protocol.CompressionZstd || !bytes.Equal(object[x.Offset:x.Offset+x.Length], first.Content(first.Entries[i*262].Entry.Batches[0].Extent)) {
			t.Errorf("block %d is %+v", i, x)
		}
	}
	if len(extents) != 2+500 || extents[2].Compressed() {
		t.Errorf("%d frames and blocks, the third one is %+v", len(extents), extents[2])
	}
}

func TestSegmentThatDoesNotFollowIsNotMerged(t *testing.T) {
	log := from(10, 100).add(frame(10)).add(frame(10)).add(frame(10)).entries
	for name, c := range map[string]struct {
		change func(*Whole)
		says   string
	}{
		"repeated":          {func(w *Whole) { w.First-- }, "it begins with entry 10, and entry 11 is next"},
		"hole":              {func(w *Whole) { w.First++ }, "it begins with entry 12"},
		"other offset":      {func(w *Whole) { w.Base++ }, "it begins at offset 102"},
		"other topic":       {func(w *Whole) { w.Partition.TopicID++ }, "another partition"},
		"other partition":   {func(w *Whole) { w.Partition.Number++ }, "another partition"},
		"other incarnation": {func(w *Whole) { w.Partition.Incarnation++ }, "another partition or incarnation"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(key, partition, "")
			if err := b.AddWhole(part(t, "", log[:1])); err != nil {
				t.Fatal(err)
			}
			w := part(t, "", log[1:])
			c.change(w)
			if err := b.AddWhole(w); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestDamagedSegmentIsNotParsed(t *testing.T) {
	object, _ := build(t, "", from(1, 0).add(frame(100)).add(frame(100)).entries)
	f := open(t, object)
	for name, at := range map[string]int64{"page": f.Pages[0].Position + 20, "footer": f.Pages[0].Position + f.Pages[0].Length, "trailer": int64(len(object)) - 1} {
		damaged := bytes.Clone(object)
		damaged[at] ^= 1
		if _, err := Parse(key, damaged); err == nil {
			t.Errorf("damage of the %s is not noticed", name)
		}
	}
	if _, err := Parse("s/other", object); err == nil {
		t.Error("another key is not noticed")
	}
}
