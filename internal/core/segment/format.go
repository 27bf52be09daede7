package segment

import (
	"encoding/binary"
	"math"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/protocol"
)

const (
	headerMagic  = "LANEWAYS"
	trailerMagic = "LANEWAYT"
	pageMark     = "LPGE"

	formatVersion = 1

	pageHeadSize = 16
	minPageSize  = pageHeadSize + minEntrySize + layout.SumSize
	minEntrySize = 2  // its length, and a byte
	lineSize     = 36 // of a page in the footer

	trailerSize      = 28
	trailerSumOffset = 16 // in the trailer

	minHeaderSize   = 8 + 4 + minIdentitySize + layout.SumSize
	minFooterSize   = minIdentitySize + summaryFixedSize + 4 + lineSize
	minIdentitySize = 18 // of a topic without a name
)

func appendHeader(to []byte, id protocol.Partition) []byte {
	start := len(to)
	to = append(to, headerMagic...)
	to = binary.LittleEndian.AppendUint32(to, formatVersion)
	to = layout.AppendPartition(to, id)
	return layout.AppendSum(to, start)
}

// Page is the place of one page of the directory, which describes consecutive entries.
type Page struct {
	First    uint64 // sequence of its first entry
	Base     int64  // where the entry before First ends
	Time     int64  // of its first entry, in Unix nanoseconds
	Position int64  // in the object, in bytes
	Length   int64  // in bytes
}

func appendPage(to []byte, p *Page) []byte {
	to = binary.LittleEndian.AppendUint64(to, p.First)
	to = binary.LittleEndian.AppendUint64(to, uint64(p.Base))
	to = binary.LittleEndian.AppendUint64(to, uint64(p.Time))
	to = binary.LittleEndian.AppendUint64(to, uint64(p.Position))
	return binary.LittleEndian.AppendUint32(to, uint32(p.Length))
}

func readPage(r *layout.Reader) Page {
	return Page{First: r.Uint64(), Base: r.Natural(), Time: r.Int64(), Position: r.Natural(), Length: int64(r.Uint32())}
}

// Footer is what the end of a segment says about the rest.
type Footer struct {
	Partition protocol.Partition
	Summary
	Pages []Page // in the order of their entries; at least one
}

// appendFooter appends the footer and the trailer. It sets the size of the object, which is
// before bytes longer than the footer and the trailer.
func (f *Footer) appendFooter(to []byte, before int64) []byte {
	length := minIdentitySize + len(f.Partition.Topic) + summaryFixedSize + len(f.Key) + 4 + lineSize*len(f.Pages)
	f.Size = before + int64(length) + trailerSize
	start := len(to)
	to = layout.AppendPartition(to, f.Partition)
	to = AppendSummary(to, &f.Summary)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(f.Pages)))
	for i := range f.Pages {
		to = appendPage(to, &f.Pages[i])
	}
	to = binary.LittleEndian.AppendUint32(to, formatVersion)
	to = binary.LittleEndian.AppendUint32(to, uint32(length))
	to = binary.LittleEndian.AppendUint64(to, uint64(f.Size))
	to = layout.AppendSum(to, start)
	return append(to, trailerMagic...)
}

// ParseTail reads the footer of a segment from the last bytes of its object. key and size are
// those of the object. If tail is too short, the result is nil without an error, and need is
// the number of the last bytes that are needed; otherwise need is 0.
//
// Errors wrap protocol.ErrMalformed, or layout.ErrVersion.
func ParseTail(key string, tail []byte, size int64) (f *Footer, need int64, err error) {
	if size < minHeaderSize+minPageSize+minFooterSize+trailerSize {
		return nil, 0, layout.Malformed("%d bytes are too short for a segment", size)
	}
	if len(tail) < trailerSize {
		return nil, trailerSize, nil
	}
	if int64(len(tail)) > size {
		return nil, 0, layout.Malformed("%d last bytes of an object of %d", len(tail), size)
	}
	trailer := tail[len(tail)-trailerSize:]
	if string(trailer[trailerSumOffset+layout.SumSize:]) != trailerMagic {
		return nil, 0, layout.Malformed("the object does not end as a segment")
	}
	length := int64(binary.LittleEndian.Uint32(trailer[4:]))
	if need = length + trailerSize; need > size {
		return nil, 0, layout.Malformed("a footer of %d bytes in a segment of %d", length, size)
	}
	if int64(len(tail)) < need {
		return nil, need, nil
	}
	signed := tail[int64(len(tail))-need : len(tail)-len(trailerMagic)]
	body, err := layout.CutSum("the footer", signed)
	if err != nil {
		return nil, 0, err
	}
	if err := layout.CheckVersion(binary.LittleEndian.Uint32(trailer), formatVersion); err != nil {
		return nil, 0, err
	}
	f, err = readFooter(body[:length])
	switch {
	case err != nil:
		return nil, 0, err
	case f.Size != size || binary.LittleEndian.Uint64(trailer[8:]) != uint64(size):
		return nil, 0, layout.Malformed("the segment should have %d bytes and has %d", f.Size, size)
	case f.Key != key:
		return nil, 0, layout.Malformed("the object is the segment %q", f.Key)
	}
	if err := f.checkPages(size - need); err != nil {
		return nil, 0, err
	}
	return f, 0, nil
}

func readFooter(body []byte) (*Footer, error) {
	r := layout.NewReader(body)
	f := &Footer{Partition: r.Partition(), Summary: ReadSummary(r)}
	f.Pages = make([]Page, r.Count(lineSize))
	for i := range f.Pages {
		f.Pages[i] = readPage(r)
	}
	return f, r.End()
}

// checkPages checks that the pages describe all entries, and lie directly before the footer,
// which begins at end.
func (f *Footer) checkPages(end int64) error {
	if len(f.Pages) == 0 || f.Pages[0].First != f.First || f.Pages[0].Base != f.Base || f.Pages[0].Time != f.FirstTime ||
		f.Pages[0].Position < f.dataBegin() {
		return layout.Malformed("the pages do not begin with entry %d", f.First)
	}
	for i := range f.Pages {
		p, last, next, position := &f.Pages[i], f.last(i), f.end(i), end
		if i+1 < len(f.Pages) {
			position = f.Pages[i+1].Position
		}
		if p.First > last || last > f.Last || next < p.Base || p.Length < minPageSize || p.Position > math.MaxInt64-p.Length || p.Position+p.Length != position {
			return layout.Malformed("page %d does not fit the next one", i)
		}
	}
	return nil
}

// Header returns the bytes with which the segment begins. Readers do not need them. They say
// what an object is if its end is damaged.
func (f *Footer) Header() []byte { return appendHeader(nil, f.Partition) }

// dataBegin returns where the header ends.
func (f *Footer) dataBegin() int64 { return minHeaderSize + int64(len(f.Partition.Topic)) }

// last returns the sequence of the last entry of a page.
func (f *Footer) last(page int) uint64 {
	if page+1 < len(f.Pages) {
		return f.Pages[page+1].First - 1
	}
	return f.Last
}

// end returns the offset that follows the last entry of a page.
func (f *Footer) end(page int) int64 {
	if page+1 < len(f.Pages) {
		return f.Pages[page+1].Base
	}
	return f.End
}
