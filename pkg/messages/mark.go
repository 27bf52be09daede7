package messages

// Position is a place in the log of a partition: the sequence of an entry and
// the offset that follows it.
type Position struct {
	Sequence uint64 `json:"sequence"`
	Offset   int64  `json:"offset"`
}

// Covers reports whether the position is not before another one, in sequence and in
// offset.
func (p Position) Covers(other Position) bool {
	return p.Sequence >= other.Sequence && p.Offset >= other.Offset
}

// Mark records, outside the log of a partition, how long the log must be at least and may
// be at most. A log that ends before Written has lost entries. A log that ends later, but
// before Reserved, may have lost some: its last owner was allowed to append up to Reserved.
//
// An owner MUST NOT append an entry beyond Reserved. It raises Reserved before it needs
// more room, so that one write of the mark serves many appends.
type Mark struct {
	// Owner names the process that wrote the mark.
	Owner string `json:"owner"`
	// Written is where the log ended when the mark was written.
	Written Position `json:"written"`
	// Reserved bounds what was appended since: no entry has a sequence above
	// Reserved.Sequence, and no record an offset at or above Reserved.Offset.
	Reserved Position `json:"reserved"`
}

// Exact reports whether the mark is exactly the end of the log, because nothing is reserved
// beyond what was written. A mark is exact after a clean stop, and after a second without
// appends.
func (m Mark) Exact() bool { return m.Written == m.Reserved }
