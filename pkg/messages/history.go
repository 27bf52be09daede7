package messages

import (
	"math"
	"time"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// History says which part of a partition's log lies in segments of the object store. The log
// itself may have lost that part: its entries are purged after they were archived.
//
// Every entry of a log carries the history as its owner knew it. So the last entry of a log
// names the newest manifest, and a reader needs nothing else to find all records. The zero
// value means that nothing was archived yet.
type History struct {
	// Manifest is the key of the object that lists the segments.
	Manifest string
	// Start is the log start offset: records below it are gone.
	Start int64
	// End is the last archived entry, and the offset that follows it. Segments hold the
	// entries up to it, and the log holds those after it.
	End Position
	// Size is the length of the manifest in bytes; 0 if it is not known.
	Size int64
	// Bytes is the sum of the sizes of all segments.
	Bytes int64
	// Oldest is the time of the last record of the oldest segment, in Unix nanoseconds, and
	// OldestBytes the size of that segment. Both are 0 if there is none. Retention by age and by
	// size are due by them.
	Oldest, OldestBytes int64
}

// Archived reports whether anything was archived.
func (h History) Archived() bool { return h.Manifest != "" }

// Numbers of fields. Entries of version 7 and snapshots of version 4 have the shorter form.
const (
	shortHistoryFields = 4
	historyFields      = shortHistoryFields + 4
)

func (h History) encode(e *codec.Encoder) {
	e.Array(historyFields)
	e.Text(h.Manifest)
	e.Int(h.Start)
	encodePosition(e, h.End)
	e.Int(h.Size)
	e.Int(h.Bytes)
	e.Int(h.Oldest)
	e.Int(h.OldestBytes)
}

func decodeHistory(d *codec.Decoder) History {
	d.Fields(historyFields)
	h := readHistory(d)
	h.Size, h.Bytes, h.Oldest, h.OldestBytes = d.Natural(), d.Natural(), d.Int(), d.Natural()
	return h
}

func decodeShortHistory(d *codec.Decoder) History {
	d.Fields(shortHistoryFields)
	return readHistory(d)
}

func readHistory(d *codec.Decoder) History {
	h := History{Manifest: d.Text(), Start: d.Natural(), End: decodePosition(d)}
	if h.Start > h.End.Offset {
		d.Fail("a log start offset of %d above the archived end %d", h.Start, h.End.Offset)
	}
	return h
}

func encodePosition(e *codec.Encoder, p Position) {
	e.Uint(p.Sequence)
	e.Int(p.Offset)
}

func decodePosition(d *codec.Decoder) Position {
	return Position{Sequence: d.Uint(), Offset: d.Natural()}
}

// Run is a series of consecutive entries that are not archived yet. Owners count runs and not
// entries, because a log may have a million of them.
type Run struct {
	End      Position // its last entry, and the offset that follows it
	Since    int64    // time of its first entry with batches, or of its first entry, in Unix nanoseconds
	Payload  int64    // bytes of the frames of its batches
	LogBytes int64    // bytes of its entries in the log
	Batches  int64
	// Generation is the lowest one of the objects that its batches refer to, or NoGeneration.
	Generation uint64
}

// NoGeneration is the generation of what refers to no object.
const NoGeneration = math.MaxUint64

const runFields = 7

func encodeRun(e *codec.Encoder, r *Run) {
	e.Array(runFields)
	encodePosition(e, r.End)
	e.Int(r.Since)
	e.Int(r.Payload)
	e.Int(r.LogBytes)
	e.Int(r.Batches)
	e.Uint(r.Generation)
}

func decodeRun(d *codec.Decoder) Run {
	d.Fields(runFields)
	r := readRun(d)
	r.Generation = d.Uint()
	return r
}

// decodeShortRun reads a run of a snapshot of version 4, whose objects have the generation 0.
func decodeShortRun(d *codec.Decoder) Run {
	d.Fields(runFields - 1)
	return readRun(d)
}

func readRun(d *codec.Decoder) Run {
	return Run{End: decodePosition(d), Since: d.Int(), Payload: d.Natural(), LogBytes: d.Natural(), Batches: d.Natural()}
}

// Retention says which part of a history is to be dropped. The zero value drops nothing.
type Retention struct {
	// Before is the lowest log start offset that may result: records below it are to be gone.
	Before int64
	// Cutoff is a time in Unix nanoseconds. A segment whose records are all older is dropped, if
	// those before it are.
	Cutoff int64
	// Bytes is how many bytes of segments are kept at least: the oldest segment is dropped as long
	// as the others have as many. 0 does not limit them.
	Bytes int64
}

// Kept is how long, and how many bytes of segments, a topic keeps. 0 keeps them forever.
type Kept struct {
	Age   time.Duration
	Bytes int64
}

// Archive asks an archiver to write the entries after Base.End up to To into a segment, and a
// manifest that lists it after those that Base.Manifest lists (replicator to archivers). The
// job has no other state: a lost or repeated one leaves objects to which nothing refers.
type Archive struct {
	Partition protocol.Partition
	Base      History
	To        Position
	// Codec is the one with which the archiver compresses plain frames; empty if it does not.
	Codec protocol.Compression
	// GiveUp tells the archiver to write batches that cannot be read into the segment as damaged.
	// Without it the job fails, because another try may be able to read them.
	GiveUp bool
	// Generation is the newest one that the owner knows. The objects of the job have this one or
	// a later one.
	Generation uint64
	// Retain is what the new manifest drops. A job that only drops segments has To == Base.End.
	Retain Retention
	// Kept bounds merged segments. Retain cannot: it is less than what the topic's retention allows
	// while its stream is young, and after an update.
	Kept Kept
}

// Archived reports that the segment and the manifest of a job are in the object store
// (archiver to replicator). They are true only once the log has them.
type Archived struct {
	Partition protocol.Partition
	Base      string // the manifest of the job's Base
	History   History
	// Records, Damaged and Missing are the numbers of offsets after the end of Base that have a
	// record in the segment, whose record could not be read, and that have none because they lie
	// in gaps of the log. Their sum is the number of all offsets.
	Records, Damaged, Missing int64
	// Generation is the lowest one of the objects that the job has stored.
	Generation uint64
	// Retain is that of the job. An owner whose retention was updated may have sent several jobs for
	// the same entries.
	Retain Retention
}

// Archiving reports that an archiver works on a job (archiver to replicator). It is repeated
// every ReportInterval, so that a slow store is not taken for a lost job.
type Archiving struct {
	Partition protocol.Partition
	Base      string // the manifest of the job's Base
}

// ArchiveFailed reports that an archiver has given a job up (archiver to replicator).
type ArchiveFailed struct {
	Partition protocol.Partition
	Base      string // the manifest of the job's Base
	Reason    string // for people
}

func (Archive) kind() kind       { return kindArchive }
func (Archived) kind() kind      { return kindArchived }
func (Archiving) kind() kind     { return kindArchiving }
func (ArchiveFailed) kind() kind { return kindArchiveFailed }

// Of returns the partition that the message concerns.
func (m Archive) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Archived) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Archiving) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ArchiveFailed) Of() protocol.Partition { return m.Partition }

func (m Archive) encode(e *codec.Encoder) {
	m.Base.encode(e)
	encodePosition(e, m.To)
	e.Text(string(m.Codec))
	e.Bool(m.GiveUp)
	e.Uint(m.Generation)
	m.Retain.encode(e)
	m.Kept.encode(e)
}

func (k Kept) encode(e *codec.Encoder) {
	e.Array(2)
	e.Int(k.Age.Nanoseconds())
	e.Int(k.Bytes)
}

func decodeKept(d *codec.Decoder) Kept {
	d.Fields(2)
	return Kept{Age: time.Duration(d.Natural()), Bytes: d.Natural()}
}

func (r Retention) encode(e *codec.Encoder) {
	e.Array(3)
	e.Int(r.Before)
	e.Int(r.Cutoff)
	e.Int(r.Bytes)
}

func decodeRetention(d *codec.Decoder) Retention {
	d.Fields(3)
	return Retention{Before: d.Natural(), Cutoff: d.Int(), Bytes: d.Natural()}
}

func (m Archived) encode(e *codec.Encoder) {
	e.Text(m.Base)
	m.History.encode(e)
	e.Int(m.Records)
	e.Int(m.Damaged)
	e.Int(m.Missing)
	e.Uint(m.Generation)
	m.Retain.encode(e)
}

func (m Archiving) encode(e *codec.Encoder) { e.Text(m.Base) }

func (m ArchiveFailed) encode(e *codec.Encoder) {
	e.Text(m.Base)
	e.Text(m.Reason)
}
