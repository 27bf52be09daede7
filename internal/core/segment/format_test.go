package segment

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// documented returns the bytes of the first hexadecimal block of docs/storage.md. What follows
// several spaces in a line is a comment.
func documented(t testing.TB) []byte {
	t.Helper()
	page, err := os.ReadFile("../../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/storage.md has no block of hex")
	}
	digits := regexp.MustCompile("(?m)  .*$").ReplaceAllString(string(block[1]), "")
	object, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// example is the log of the segment in docs/storage.md.
func example() []logged {
	plain := []byte{0x92, 0x01, 0x91, 0x92, 0xc0, 0xc4, 0x02, 'h', 'i'}
	n := messages.Entry{TopicID: 9, BaseOffset: 5, Gap: 1, Time: 1_700_000_000_000_000_000}
	n.Batches = []messages.Placeholder{
		{Batch: messages.Batch{Records: 1}, Extent: messages.Extent{Key: "objects/1", Length: int64(len(plain)), CRC: layout.Sum(plain)}},
		{Batch: messages.Batch{Records: 2}, Extent: messages.Extent{Key: "objects/1", Length: 10}},
	}
	return []logged{{messages.LoggedEntry{Sequence: 44, Entry: n}, [][]byte{plain, nil}}}
}

func TestSegmentIsWrittenAsDocumented(t *testing.T) {
	b := NewBuilder("s/1/A", protocol.Partition{Topic: "orders", TopicID: 9, Number: 2}, "")
	for _, e := range example() {
		if err := b.Add(e.LoggedEntry, e.frames); err != nil {
			t.Fatal(err)
		}
	}
	parts, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if now, want := bytes.Join(parts, nil), documented(t); !bytes.Equal(now, want) {
		t.Errorf("the same version now writes\n%s", hex.Dump(now))
	}
	object := documented(t)
	if !bytes.HasPrefix(object, appendHeader(nil, protocol.Partition{Topic: "orders", TopicID: 9, Number: 2})) {
		t.Error("the documented segment has another header")
	}
	f, _, err := ParseTail("s/1/A", object, int64(len(object)))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := f.ParsePage(0, object[f.Pages[0].Position:f.Pages[0].Position+f.Pages[0].Length])
	if err != nil {
		t.Fatal(err)
	}
	if x := entries[0].Entry.Batches[0].Extent; !bytes.Equal(read(t, object, x), example()[0].frames[0]) {
		t.Error("the documented segment has another frame")
	}
}

// sample returns a segment with several pages.
func sample(t testing.TB) []byte {
	t.Helper()
	s := from(10, 100)
	for range 400 {
		s.add(frame(40), nil)
	}
	object, _ := build(t, protocol.CompressionZstd, s.entries)
	return object
}

func TestParseTailSaysHowMuchItNeeds(t *testing.T) {
	object := sample(t)
	size := int64(len(object))
	pages := open(t, object).Pages
	want := size - pages[len(pages)-1].Position - pages[len(pages)-1].Length
	for _, c := range []struct{ have, need int64 }{{0, trailerSize}, {trailerSize - 1, trailerSize}, {trailerSize, want}, {want - 1, want}} {
		f, need, err := ParseTail(key, object[size-c.have:], size)
		if f != nil || need != c.need || err != nil {
			t.Errorf("with %d bytes it needs %d, %v; want %d", c.have, need, err, c.need)
		}
	}
	for _, have := range []int64{want, want + 1, size} {
		if f, need, err := ParseTail(key, object[size-have:], size); f == nil || need != 0 || err != nil {
			t.Errorf("with %d bytes it needs %d, %v", have, need, err)
		}
	}
}

func TestDamagedTailIsRefused(t *testing.T) {
	object := sample(t)
	pages := open(t, object).Pages
	tail := bytes.Clone(object[pages[len(pages)-1].Position+pages[len(pages)-1].Length:])
	for at := range tail {
		tail[at] ^= 0x10
		if f, need, err := ParseTail(key, tail, int64(len(object))); !errors.Is(err, protocol.ErrMalformed) && need <= int64(len(tail)) {
			t.Fatalf("byte %d: %v, need %d, %v", at, f, need, err)
		}
		tail[at] ^= 0x10
	}
}

func TestCutOffSegmentIsRefused(t *testing.T) {
	object := sample(t)
	for n := range len(object) {
		if f, _, err := ParseTail(key, object[:n], int64(n)); !errors.Is(err, protocol.ErrMalformed) || f != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(object), err)
		}
	}
}

func TestDamagedPageIsRefused(t *testing.T) {
	object := sample(t)
	f := open(t, object)
	data := bytes.Clone(object[f.Pages[1].Position : f.Pages[1].Position+f.Pages[1].Length])
	for at := range data {
		data[at] ^= 0x10
		_, err := f.ParsePage(1, data)
		wantMalformed(t, err, "the CRC-32C of the page is")
		data[at] ^= 0x10
	}
	_, err := f.ParsePage(1, data[1:])
	wantMalformed(t, err, "bytes of a page of")
	_, err = f.ParsePage(1, nil)
	wantMalformed(t, err, "0 bytes of a page of")
}

func TestSegmentOfAnotherKeyIsRefused(t *testing.T) {
	object := sample(t)
	_, _, err := ParseTail("s/1/B", object, int64(len(object)))
	wantMalformed(t, err, "the object is the segment \""+key)
}

func TestSegmentToComeIsNotDamage(t *testing.T) {
	object := sample(t)
	trailer := object[len(object)-trailerSize:]
	binary.LittleEndian.PutUint32(trailer, formatVersion+1)
	footer := len(object) - trailerSize - int(binary.LittleEndian.Uint32(trailer[4:]))
	binary.LittleEndian.PutUint32(trailer[trailerSumOffset:], layout.Sum(object[footer:len(object)-trailerSize+trailerSumOffset]))
	_, _, err := ParseTail(key, object, int64(len(object)))
	if !errors.Is(err, layout.ErrVersion) || errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("error is %v", err)
	}
}

// A footer may have the right checksum and be wrong, because a Builder was.
func TestInconsistentFooterIsRefused(t *testing.T) {
	object := sample(t)
	for name, c := range map[string]struct {
		change func(*Footer)
		says   string
	}{
		"sequences that fall":        {func(f *Footer) { f.Last = f.First - 1 }, "inconsistent: the sequences"},
		"sequence zero":              {func(f *Footer) { f.First = 0 }, "inconsistent: the sequences"},
		"offsets that fall":          {func(f *Footer) { f.End = f.Base - 1 }, "inconsistent: the offsets"},
		"negative offset":            {func(f *Footer) { f.Base = -1 }, "-1 is negative"},
		"a record too many":          {func(f *Footer) { f.Records++ }, "inconsistent: the numbers of offsets"},
		"a damaged one too few":      {func(f *Footer) { f.Damaged-- }, "inconsistent: the numbers of offsets"},
		"a missing one too many":     {func(f *Footer) { f.Missing++ }, "inconsistent: the numbers of offsets"},
		"a fall in time later on":    {func(f *Footer) { f.RisingFrom = f.Last + 1 }, "inconsistent: the sequence of the last fall"},
		"no pages":                   {func(f *Footer) { f.Pages = nil }, "do not begin with entry 10"},
		"first page elsewhere":       {func(f *Footer) { f.Pages[0].First++ }, "do not begin with entry 10"},
		"first page at an offset":    {func(f *Footer) { f.Pages[0].Base++ }, "do not begin with entry 10"},
		"first page of another time": {func(f *Footer) { f.Pages[0].Time++ }, "do not begin with entry 10"},
		"data before the header":     {func(f *Footer) { f.Pages[0].Position = 30 }, "do not begin with entry 10"},
		"pages of the same entries":  {func(f *Footer) { f.Pages[1].First = f.Pages[0].First }, "page 0 does not fit"},
		"page beyond the entries":    {func(f *Footer) { f.Pages[1].First = f.Last + 1 }, "does not fit"},
		"offsets of pages that fall": {func(f *Footer) { f.Pages[1].Base = f.Base - 1 }, "page 0 does not fit"},
		"hole between pages":         {func(f *Footer) { f.Pages[1].Position++ }, "page 0 does not fit"},
		"position that overflows":    {func(f *Footer) { f.Pages[1].Position = 1<<63 - 1 }, "page 0 does not fit"},
		"hole before the footer":     {func(f *Footer) { f.Pages[len(f.Pages)-1].Length-- }, "does not fit"},
		"empty page":                 {func(f *Footer) { f.Pages[0].Length = 0 }, "page 0 does not fit"},
		"negative partition":         {func(f *Footer) { f.Partition.Number = -1 }, "partition -1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, object)
			last := f.Pages[len(f.Pages)-1]
			data := object[:last.Position+last.Length]
			f.Pages = slices.Clone(f.Pages)
			c.change(f)
			changed := f.appendFooter(bytes.Clone(data), int64(len(data)))
			got, need, err := ParseTail(key, changed, int64(len(changed)))
			wantMalformed(t, err, c.says)
			if got != nil || need != 0 {
				t.Errorf("footer %v, need %d", got, need)
			}
		})
	}
}

// signed returns a page of entries with the right checksum.
func signed(first uint64, count int, entries ...messages.Entry) []byte {
	data := binary.LittleEndian.AppendUint64([]byte(pageMark), first)
	data = binary.LittleEndian.AppendUint32(data, uint32(count))
	for _, n := range entries {
		entry := messages.EncodeEntry(n)
		data = append(binary.AppendUvarint(data, uint64(len(entry))), entry...)
	}
	return layout.AppendSum(data, 0)
}

func TestInconsistentPageIsRefused(t *testing.T) {
	entry := func(base int64, x messages.Extent) messages.Entry {
		return messages.Entry{TopicID: 7, BaseOffset: base, Batches: []messages.Placeholder{{Batch: messages.Batch{Records: 1}, Extent: x}}}
	}
	at := messages.Extent{Offset: 40, Length: 10}
	foreign, gap := entry(5, at), entry(5, at)
	foreign.TopicID, gap.Gap = 8, 1
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"another page":           {signed(2, 2, entry(5, at), entry(6, at)), "another page"},
		"an entry too few":       {signed(1, 1, entry(5, at)), "1 entries in the page"},
		"an entry more":          {signed(1, 3, entry(5, at), entry(6, at), entry(7, at)), "3 entries in the page"},
		"entries without bytes":  {signed(1, 2, entry(5, at)), "no number"},
		"bytes without entries":  {signed(1, 2, entry(5, at), entry(6, at), entry(7, at)), "after the end"},
		"no entries":             {signed(1, 0), "0 entries in the page"},
		"more entries than fit":  {signed(1, 1<<31-1, entry(5, at)), "items in"},
		"another topic":          {signed(1, 2, entry(5, at), foreign), "topic 8"},
		"offsets that leap":      {signed(1, 2, entry(5, at), entry(7, at)), "at offset 7, should be 6"},
		"gap of what is there":   {signed(1, 2, gap, entry(6, at)), "at offset 4, should be 5"},
		"offsets that end early": {signed(1, 2, entry(5, at), messages.Entry{TopicID: 7, BaseOffset: 6}), "ends at offset 6, should be 7"},
		"extent with a key":      {signed(1, 2, entry(5, messages.Extent{Key: "x", Offset: 40, Length: 10}), entry(6, at)), "outside of the data"},
		"extent in the pages":    {signed(1, 2, entry(5, messages.Extent{Offset: 95, Length: 10}), entry(6, at)), "outside of the data"},
		"extent in the header":   {signed(1, 2, entry(5, messages.Extent{Offset: 39, Length: 10}), entry(6, at)), "outside of the data"},
		"extent of nothing":      {signed(1, 2, entry(5, messages.Extent{Offset: 40}), entry(6, at)), "outside of the data"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &Footer{Partition: partition, Summary: Summary{Key: key, First: 1, Last: 2, Base: 5, End: 7}}
			f.Pages = []Page{{First: 1, Base: 5, Position: 100, Length: int64(len(c.data))}}
			entries, err := f.ParsePage(0, c.data)
			wantMalformed(t, err, c.says)
			if entries != nil {
				t.Errorf("entries are %v", entries)
			}
		})
	}
	good := signed(1, 2, entry(5, at), entry(6, at))
	f := &Footer{Partition: partition, Summary: Summary{Key: key, First: 1, Last: 2, Base: 5, End: 7}, Pages: []Page{{First: 1, Base: 5, Position: 100, Length: int64(len(good))}}}
	if _, err := f.ParsePage(0, good); err != nil {
		t.Errorf("the page that the cases are made from: %v", err)
	}
}

func TestAbsurdNumbersAllocateNothingBig(t *testing.T) {
	object := sample(t)
	f := open(t, object)
	footer := f.appendFooter(nil, 1000)
	// The number of pages is before the pages.
	binary.LittleEndian.PutUint32(footer[len(footer)-trailerSize-lineSize*len(f.Pages)-4:], 1<<32-1)
	binary.LittleEndian.PutUint32(footer[len(footer)-8-layout.SumSize:], layout.Sum(footer[:len(footer)-8-layout.SumSize]))
	page := signed(1, 1<<31-1)
	for name, decode := range map[string]func() error{
		"pages":   func() error { _, _, err := ParseTail(key, footer, f.Size); return err },
		"entries": func() error { _, err := f.ParsePage(0, page); return err },
	} {
		f.Pages[0].Length = int64(len(page))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode()
		runtime.ReadMemStats(&after)
		wantMalformed(t, err, "")
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s: allocates %d bytes", name, n)
		}
	}
}
