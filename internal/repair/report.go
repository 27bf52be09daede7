package repair

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Report is what is there of a topic, and what is not.
type Report struct {
	Topic protocol.Topic `json:"topic"`
	// Record says what is wrong with the topic's record, if anything is: then the topic
	// is what its logs tell of it.
	Record     string      `json:"record,omitempty"`
	Partitions []Partition `json:"partitions"`
	Store      *Store      `json:"store,omitempty"` // nil if no object store was searched
	// Continued are the partitions whose loss was accepted. What else the report says of
	// them was true before.
	Continued []Accepted `json:"continued,omitempty"`
}

// Partition is the part of a report about one partition.
type Partition struct {
	Partition   int32  `json:"partition"`
	Stream      string `json:"stream"`
	Incarnation uint32 `json:"incarnation,omitempty"` // of the log
	// Findings say what is wrong, a sentence each; nothing is wrong without any.
	Findings []string `json:"findings"`
	// Silent says why what stands outside the log did not answer. It may be whole, and so
	// may the log.
	Silent   error          `json:"-"`
	Log      Log            `json:"log"`
	Snapshot *Snapshot      `json:"snapshot,omitempty"` // the newest that can be read
	Mark     *messages.Mark `json:"mark,omitempty"`
	// Unknown are the offsets of which the log says nothing, although they were
	// given out, or may have been.
	Unknown []Offsets `json:"unknown_offsets"`
	// Lanes are the batches in the object store to which the log does not refer.
	Lanes []Lane `json:"lanes"`
	// Copies are batches of the object store that the log has in another object: they
	// were staged or sent twice.
	Copies int `json:"copies"`
	// Refused are batches of which the log says that their producers were refused.
	Refused int `json:"refused"`
	// NewestObject is when the newest batch of the partition was staged, whether the
	// log refers to it or not.
	NewestObject *time.Time `json:"newest_object,omitempty"`
}

// Log is what a log has.
type Log struct {
	Exists        bool       `json:"exists"`
	FirstSequence uint64     `json:"first_sequence"`
	LastSequence  uint64     `json:"last_sequence"` // as JetStream says; what can be read may end before
	Entries       int64      `json:"entries"`       // that can be read
	FirstOffset   int64      `json:"first_offset"`  // where the log begins, as its first entry says; 0 if that is lost
	EndSequence   uint64     `json:"end_sequence"`  // of the last of them
	EndOffset     int64      `json:"end_offset"`    // the offset after its last record
	EndTime       *time.Time `json:"end_time,omitempty"`
	Holes         []Hole     `json:"holes"`
	// Gaps are the offsets without records that the log itself records: reserved by an
	// owner that crashed, or given up by an earlier repair.
	Gaps []Offsets `json:"gaps"`
}

// Hole is what a log lacks between its ends.
type Hole struct {
	FirstSequence uint64 `json:"first_sequence"`
	LastSequence  uint64 `json:"last_sequence"`
	Offsets
	Reason string `json:"reason"`
}

// Offsets are a range of offsets, without To. To is absent if nothing tells it.
type Offsets struct {
	From int64  `json:"from_offset"`
	To   *int64 `json:"to_offset,omitempty"`
}

// Snapshot is what the newest readable snapshot says of the log's end.
type Snapshot struct {
	Sequence  uint64    `json:"sequence"`
	EndOffset int64     `json:"end_offset"`
	Time      time.Time `json:"time"`
}

// Lane sums up the batches of one lane and frontend epoch to which the log does
// not refer.
type Lane struct {
	FrontendEpoch uint64    `json:"frontend_epoch"`
	Lane          string    `json:"lane"`
	FirstTicket   uint64    `json:"first_ticket"`
	LastTicket    uint64    `json:"last_ticket"`
	Batches       int64     `json:"batches"`
	Records       int64     `json:"records"`
	Bytes         int64     `json:"bytes"` // of the payloads
	FirstStaged   time.Time `json:"first_staged"`
	LastStaged    time.Time `json:"last_staged"`
}

// Store is the part of a report about the object store.
type Store struct {
	// NotShared says why the store is not, or may not be, the one that the services use.
	NotShared string    `json:"not_shared,omitempty"`
	Objects   int64     `json:"objects"`
	Bytes     int64     `json:"bytes"`
	Damaged   []Damaged `json:"damaged"`
	// MoreDamaged is how many damaged objects are not in Damaged.
	MoreDamaged int64 `json:"more_damaged,omitempty"`
}

// Damaged is an object that cannot be read to its end. A process that was killed
// while it uploaded leaves one behind, which nothing refers to.
type Damaged struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	Reason string `json:"reason"`
}

// Damage reports whether the topic or a partition has lost anything.
func (r *Report) Damage() bool {
	if r.Record != "" {
		return true
	}
	for i := range r.Partitions {
		if len(r.Partitions[i].Findings) > 0 {
			return true
		}
	}
	return false
}
