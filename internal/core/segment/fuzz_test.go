package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// FuzzTail parses the tail of an object, also with a checksum made right, so that what comes
// after the checksum is reached. Nothing panics, and a footer that is accepted is safe to use.
func FuzzTail(f *testing.F) {
	object := sample(f)
	footer := object[open(f, object).Pages[0].Position:]
	f.Add(footer, int64(len(object)), false)
	f.Add(footer, int64(len(object)), true)
	f.Add(footer[len(footer)-trailerSize:], int64(len(object)), true)
	f.Add(documented(f), int64(len(documented(f))), false)
	f.Fuzz(func(t *testing.T, tail []byte, size int64, sign bool) {
		if at := len(tail) - trailerSize; sign && at >= 0 {
			tail = bytes.Clone(tail)
			if length := int(binary.LittleEndian.Uint32(tail[at+4:])); length <= at {
				binary.LittleEndian.PutUint32(tail[at+trailerSumOffset:], layout.Sum(tail[at-length:at+trailerSumOffset]))
			}
		}
		_, _ = Parse(key, tail) // does not panic
		footer, need, err := ParseTail(key, tail, size)
		switch {
		case err != nil:
			if footer != nil || need != 0 || !errors.Is(err, protocol.ErrMalformed) && !errors.Is(err, layout.ErrVersion) {
				t.Fatalf("need %d, %v", need, err)
			}
		case footer == nil:
			if need <= int64(len(tail)) || need > size {
				t.Fatalf("needs %d bytes of %d, has %d", need, size, len(tail))
			}
		default:
			checkFooter(t, footer, size)
		}
	})
}

func checkFooter(t *testing.T, f *Footer, size int64) {
	t.Helper()
	at := f.Pages[0].Position
	for i, p := range f.Pages {
		if p.Position != at || f.PageOf(p.First) != i || f.last(i) < p.First || f.end(i) < p.Base {
			t.Fatalf("page %d is %+v", i, p)
		}
		at += p.Length
		if _, err := f.ParsePage(i, nil); !errors.Is(err, protocol.ErrMalformed) {
			t.Fatal(err)
		}
	}
	again := f.appendFooter(nil, at)
	if f.Size != size || at+int64(len(again)) != size || at < 0 {
		t.Fatalf("the footer of %d bytes begins at %d, and the object has %d", len(again), at, size)
	}
}

// FuzzPage parses pages of a segment with two entries, with the right checksum.
func FuzzPage(f *testing.F) {
	entry := messages.Entry{TopicID: 7, BaseOffset: 5, Batches: []messages.Placeholder{{Batch: messages.Batch{Records: 1}}}}
	next := entry
	next.BaseOffset++
	f.Add(signed(1, 2, entry, next))
	f.Add(signed(1, 1<<31-1, entry))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		data := layout.AppendSum(bytes.Clone(body), 0)
		footer := &Footer{Partition: partition, Summary: Summary{Key: key, First: 1, Last: 2, Base: 5, End: 7}}
		footer.Pages = []Page{{First: 1, Base: 5, Position: 100, Length: int64(len(data))}}
		entries, err := footer.ParsePage(0, data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) || entries != nil {
				t.Fatalf("%v, %v", entries, err)
			}
			return
		}
		if len(entries) != 2 || entries[0].Sequence != 1 || entries[1].Entry.NextOffset() != 7 {
			t.Fatalf("entries are %+v", entries)
		}
		for _, e := range entries {
			for _, b := range e.Entry.Batches {
				if x := b.Extent; x != (messages.Extent{}) && (x.Key != key || x.Offset+x.Length > 100 || x.Length <= 0) {
					t.Fatalf("extent %+v", x)
				}
			}
			again, err := messages.DecodeEntry(messages.EncodeEntry(e.Entry))
			if err != nil || !cmp.Equal(again, e.Entry) {
				t.Fatalf("%+v does not survive: %v", e, err)
			}
		}
	})
}
