package manifest

import (
	"encoding/binary"
	"math"
	"slices"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

const (
	manifestMagic = "LANEWAYM"
	listMagic     = "LANEWAYL"
	formatVersion = 1
	minKeySize    = 2 // of a key without characters
)

// HeadSize is the size of the head of manifests and lists in bytes. Nothing outside of such an
// object says how long it is, so a reader reads the head first (see ParseHead).
const HeadSize = 24

// ParseHead returns the length of a manifest or list, in bytes and with its head, from its
// first HeadSize bytes. Errors wrap protocol.ErrMalformed.
func ParseHead(head []byte) (length int64, err error) {
	if len(head) != HeadSize {
		return 0, layout.Malformed("a head of %d bytes", len(head))
	}
	body, err := layout.CutSum("the head", head)
	if err != nil {
		return 0, err
	}
	if magic := string(body[:8]); magic != manifestMagic && magic != listMagic {
		return 0, layout.Malformed("the object is neither a manifest nor a list")
	}
	size := binary.LittleEndian.Uint64(body[12:])
	if size < HeadSize+layout.SumSize || size > math.MaxInt64 {
		return 0, layout.Malformed("a manifest or list of %d bytes", size)
	}
	return int64(size), nil
}

// open appends a head without its length. seal writes the length.
func open(magic string, sizeHint int) []byte {
	data := append(make([]byte, 0, sizeHint), magic...)
	data = binary.LittleEndian.AppendUint32(data, formatVersion)
	return append(data, make([]byte, HeadSize-len(data))...)
}

func seal(data []byte) []byte {
	binary.LittleEndian.PutUint64(data[12:], uint64(len(data)+layout.SumSize))
	binary.LittleEndian.PutUint32(data[HeadSize-layout.SumSize:], layout.Sum(data[:HeadSize-layout.SumSize]))
	return layout.AppendSum(data, 0)
}

// unseal checks an object and returns a Reader of what comes after its head.
func unseal(what, magic string, data []byte) (*layout.Reader, error) {
	if len(data) < HeadSize+layout.SumSize {
		return nil, layout.Malformed("%s of %d bytes", what, len(data))
	}
	length, err := ParseHead(data[:HeadSize])
	switch {
	case err != nil:
		return nil, err
	case length != int64(len(data)):
		return nil, layout.Malformed("%s of %d bytes, should be %d", what, len(data), length)
	case string(data[:8]) != magic:
		return nil, layout.Malformed("the object is not %s", what)
	}
	body, err := layout.CutSum(what, data)
	if err != nil {
		return nil, err
	}
	if err := layout.CheckVersion(binary.LittleEndian.Uint32(data[8:]), formatVersion); err != nil {
		return nil, err
	}
	return layout.NewReader(body[HeadSize:]), nil
}

const (
	sizeOfRest    = 256 // roughly what a manifest takes beside its segments, in bytes
	sizeOfSegment = segment.MinSummarySize + 48
)

// Encode returns the stored form of a manifest.
func Encode(m *Manifest) []byte {
	data := open(manifestMagic, sizeOfRest+sizeOfSegment*(len(m.Lists)+len(m.Segments)))
	data = layout.AppendText(data, m.Key)
	data = layout.AppendPartition(data, m.Partition)
	data = binary.LittleEndian.AppendUint64(data, uint64(m.Start))
	data = binary.LittleEndian.AppendUint64(data, m.End.Sequence)
	data = binary.LittleEndian.AppendUint64(data, uint64(m.End.Offset))
	data = appendSummaries(data, m.Lists)
	data = appendSummaries(data, m.Segments)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(m.Waiting)))
	for _, key := range m.Waiting {
		data = layout.AppendText(data, key)
	}
	return seal(data)
}

// Decode reads the stored form of the manifest with a key. Errors wrap protocol.ErrMalformed, or
// layout.ErrVersion.
func Decode(key string, data []byte) (*Manifest, error) {
	r, err := unseal("a manifest", manifestMagic, data)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Key: r.Text(), Partition: r.Partition(), Start: r.Natural(), End: messages.Position{Sequence: r.Uint64(), Offset: r.Natural()}}
	m.Lists = readSummaries(r)
	m.Segments = readSummaries(r)
	if n := r.Count(minKeySize); n > 0 {
		m.Waiting = make([]string, n)
	}
	for i := range m.Waiting {
		m.Waiting[i] = r.Text()
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if m.Key != key {
		return nil, layout.Malformed("the object is the manifest %q", m.Key)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// check checks what readers rely on.
func (m *Manifest) check() error {
	all := slices.Concat(m.Lists, m.Segments)
	if reason := wrong(all); reason != "" {
		return layout.Malformed("%s", reason)
	}
	if m.Start > m.End.Offset {
		return layout.Malformed("a log start offset of %d above the end %d", m.Start, m.End.Offset)
	}
	if n := len(all); n > 0 {
		if last := &all[n-1]; last.Last != m.End.Sequence || last.End != m.End.Offset || last.Incarnation != m.Partition.Incarnation {
			return layout.Malformed("the segments end with entry %d at offset %d, should be %d at %d", last.Last, last.End, m.End.Sequence, m.End.Offset)
		}
	}
	return nil
}

// EncodeList returns the stored form of a list.
func EncodeList(l *List) []byte {
	data := open(listMagic, sizeOfRest+sizeOfSegment*len(l.Segments))
	data = layout.AppendText(data, l.Key)
	data = layout.AppendPartition(data, l.Partition)
	return seal(appendSummaries(data, l.Segments))
}

// DecodeList reads the stored form of the list with a key. Errors wrap protocol.ErrMalformed, or
// layout.ErrVersion.
func DecodeList(key string, data []byte) (*List, error) {
	r, err := unseal("a list", listMagic, data)
	if err != nil {
		return nil, err
	}
	l := &List{Key: r.Text(), Partition: r.Partition(), Segments: readSummaries(r)}
	if err := r.End(); err != nil {
		return nil, err
	}
	switch reason := wrong(l.Segments); {
	case l.Key != key:
		return nil, layout.Malformed("the object is the list %q", l.Key)
	case len(l.Segments) == 0:
		return nil, layout.Malformed("a list without segments")
	case reason != "":
		return nil, layout.Malformed("%s", reason)
	}
	return l, nil
}

func appendSummaries(to []byte, segments []segment.Summary) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(len(segments)))
	for i := range segments {
		to = segment.AppendSummary(to, &segments[i])
	}
	return to
}

func readSummaries(r *layout.Reader) []segment.Summary {
	n := r.Count(segment.MinSummarySize)
	if n == 0 {
		return nil
	}
	segments := make([]segment.Summary, n)
	for i := range segments {
		segments[i] = segment.ReadSummary(r)
	}
	return segments
}
