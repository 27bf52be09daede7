package segment

import (
	"encoding/binary"
	"math"

	"laneway.dev/internal/core/layout"
)

// Summary says which part of a log a segment holds, or consecutive segments together.
type Summary struct {
	Key string
	// Incarnation is the one of the log that the sequences belong to.
	Incarnation uint32
	// First and Last are the sequences of the first and the last entry. There is an entry
	// for each sequence between them.
	First, Last uint64
	// Base is the first offset: where the entry before First ends. If First has a Gap, it is
	// the first offset of the gap. End is the offset that follows Last.
	Base, End int64
	Size      int64 // of the object in bytes
	// Records, Damaged and Missing are the numbers of offsets that have a record, whose record
	// could not be read when the segment was made, and that have none because they lie in a
	// gap. Their sum is End - Base.
	Records, Damaged, Missing int64
	// FirstTime and LastTime are the times of First and Last, in Unix nanoseconds. Times may fall
	// between them, see RisingFrom.
	FirstTime, LastTime int64
	// RisingFrom is that of Last: from this sequence up to Last, times do not fall. It may lie
	// before First.
	RisingFrom uint64
}

// summaryFixedSize is the size of an encoded Summary without its key.
const summaryFixedSize = 2 + 4 + 11*8

// AppendSummary appends the encoded form of s.
func AppendSummary(to []byte, s *Summary) []byte {
	to = layout.AppendText(to, s.Key)
	to = binary.LittleEndian.AppendUint32(to, s.Incarnation)
	for _, v := range [...]uint64{
		s.First, s.Last, uint64(s.Base), uint64(s.End), uint64(s.Size), uint64(s.Records), uint64(s.Damaged), uint64(s.Missing),
		uint64(s.FirstTime), uint64(s.LastTime), s.RisingFrom,
	} {
		to = binary.LittleEndian.AppendUint64(to, v)
	}
	return to
}

// ReadSummary reads what AppendSummary has written, and fails r if the numbers are inconsistent.
func ReadSummary(r *layout.Reader) Summary {
	s := Summary{
		Key: r.Text(), Incarnation: r.Uint32(), First: r.Uint64(), Last: r.Uint64(), Base: r.Natural(), End: r.Natural(),
		Size: r.Natural(), Records: r.Natural(), Damaged: r.Natural(), Missing: r.Natural(),
		FirstTime: r.Int64(), LastTime: r.Int64(), RisingFrom: r.Uint64(),
	}
	if r.Err() != nil {
		return Summary{}
	}
	if reason := s.wrong(); reason != "" {
		r.Fail("the summary of %q is inconsistent: %s", s.Key, reason)
		return Summary{}
	}
	return s
}

// MinSummarySize is the size of the shortest encoded Summary.
const MinSummarySize = summaryFixedSize

// wrong returns what is inconsistent, or "".
func (s *Summary) wrong() string {
	offsets := uint64(s.End - s.Base)
	with := uint64(s.Records) + uint64(s.Damaged)
	switch {
	case s.First == 0 || s.Last < s.First || s.Last == math.MaxUint64:
		return "the sequences"
	case s.End < s.Base:
		return "the offsets"
	case with > offsets || uint64(s.Missing) != offsets-with:
		return "the numbers of offsets"
	case s.RisingFrom > s.Last:
		return "the sequence of the last fall in time"
	}
	return ""
}

// Join returns the summary of consecutive segments together, which is that of the object with
// this key. There MUST be at least one. Size is the sum of their sizes.
func Join(key string, segments []Summary) Summary {
	all := segments[0]
	for i := range segments[1:] {
		s := &segments[1+i]
		all.Incarnation, all.Last, all.End, all.LastTime, all.RisingFrom = s.Incarnation, s.Last, s.End, s.LastTime, s.RisingFrom
		all.Size += s.Size
		all.Records += s.Records
		all.Damaged += s.Damaged
		all.Missing += s.Missing
	}
	all.Key = key
	return all
}

// Narrow narrows a search by time with one entry of the range, whose sequence and time are
// known. The range is from low to above - 1, and times do not fall in it (see
// messages.Entry.RisingFrom). Entries below the new low are older than t. Entries from the new
// above on are not, as far as they belong to the range.
func Narrow(low, above, sequence uint64, at, t int64) (newLow, newAbove uint64) {
	switch {
	case sequence < low || sequence >= above:
		return low, above
	case at < t:
		return sequence + 1, above
	default:
		return low, sequence
	}
}

// NarrowTime is Narrow with the first and the last entry of s.
func (s *Summary) NarrowTime(low, above uint64, t int64) (newLow, newAbove uint64) {
	low, above = Narrow(low, above, s.First, s.FirstTime, t)
	return Narrow(low, above, s.Last, s.LastTime, t)
}
