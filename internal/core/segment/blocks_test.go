package segment

import (
	"bytes"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// stored returns the different frames and blocks of a segment.
func stored(t *testing.T, object []byte) (extents []messages.Extent) {
	t.Helper()
	for _, e := range all(t, object) {
		for _, b := range e.Entry.Batches {
			if x := b.Extent.Stored(); len(extents) == 0 || extents[len(extents)-1] != x {
				extents = append(extents, x)
			}
		}
	}
	return extents
}

func TestNeighboringFramesShareBlocks(t *testing.T) {
	for _, codec := range protocol.Compressions() {
		s := from(1, 0)
		for range 1000 {
			s.add(frame(1000))
		}
		object, _ := build(t, codec, s.entries)
		blocks := stored(t, object)
		if len(blocks) != 4 {
			t.Errorf("%s: 1000 frames of 1 kB are in %d blocks", codec, len(blocks))
		}
		for _, x := range blocks {
			if x.Block.Codec != codec || x.Block.Bytes > maxBlock {
				t.Errorf("%s: block %+v", codec, x)
			}
		}
	}
}

func TestFrameLongerThanABlockHasItsOwn(t *testing.T) {
	object, _ := build(t, protocol.CompressionZstd, from(1, 0).add(frame(10), frame(2*maxBlock), frame(11)).entries)
	blocks := stored(t, object)
	if len(blocks) != 3 || blocks[1].Block.Bytes < 2*maxBlock {
		t.Errorf("%+v", blocks)
	}
}

func TestFramesStayAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		codec protocol.Compression
		frame []byte
	}{
		"if there is no codec":           {"", frame(1000)},
		"if the codec is none":           {protocol.CompressionNone, frame(1000)},
		"if compression saves little":    {protocol.CompressionS2, noise(1000)},
		"if the client has compressed":   {protocol.CompressionS2, compressed(t, frame(1000))},
		"if the content is not a frame":  {protocol.CompressionS2, bytes.Repeat([]byte{0}, 1000)},
		"if the codec is not known here": {"brotli", frame(1000)},
	} {
		t.Run(name, func(t *testing.T) {
			object, _ := build(t, c.codec, from(1, 0).add(c.frame).entries)
			if !bytes.Contains(object, c.frame) {
				t.Error("the frame is not in the segment")
			}
			if x := stored(t, object); x[0].Compressed() {
				t.Errorf("the extent is %+v", x)
			}
		})
	}
}

func TestFrameOfTheClientEndsABlock(t *testing.T) {
	object, _ := build(t, protocol.CompressionS2, from(1, 0).add(frame(500), frame(500)).add(compressed(t, frame(1000)), frame(500)).entries)
	x := stored(t, object)
	if len(x) != 3 || !x[0].Compressed() || x[1].Compressed() || !x[2].Compressed() {
		t.Errorf("%+v", x)
	}
}

func TestFramesAreNotCopiedWithoutACodec(t *testing.T) {
	f := frame(1000)
	b := NewBuilder(key, partition, "")
	e := from(1, 0).add(f).entries[0]
	if err := b.Add(e.LoggedEntry, e.frames); err != nil {
		t.Fatal(err)
	}
	parts, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if &part[0] == &f[0] {
			return
		}
	}
	t.Error("no part is the frame")
}
