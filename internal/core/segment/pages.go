package segment

import (
	"encoding/binary"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
)

// pageSize is how long a page becomes in bytes, unless a single entry is longer.
const pageSize = 16 << 10

// pages builds the pages of a segment.
type pages struct {
	places []Page   // of all pages; the positions are not known yet
	done   [][]byte // pages that are complete
	page   []byte   // the current page; empty if there is none
	count  uint32   // entries of the current page
}

func (p *pages) add(e *messages.LoggedEntry) {
	entry := messages.EncodeEntry(e.Entry)
	if len(p.page)+len(entry)+layout.SumSize > pageSize {
		p.close()
	}
	if len(p.page) == 0 {
		p.places = append(p.places, Page{First: e.Sequence, Base: e.Entry.BaseOffset - e.Entry.Gap, Time: e.Entry.Time})
		p.page = append(make([]byte, 0, pageSize), pageMark...)
		p.page = binary.LittleEndian.AppendUint64(p.page, e.Sequence)
		p.page = binary.LittleEndian.AppendUint32(p.page, 0) // close writes the number of entries
	}
	p.page = append(binary.AppendUvarint(p.page, uint64(len(entry))), entry...)
	p.count++
}

// close completes the current page, if there is one.
func (p *pages) close() {
	if len(p.page) == 0 {
		return
	}
	binary.LittleEndian.PutUint32(p.page[pageHeadSize-4:], p.count)
	p.page = layout.AppendSum(p.page, 0)
	p.places[len(p.places)-1].Length = int64(len(p.page))
	p.done = append(p.done, p.page)
	p.page, p.count = nil, 0
}
