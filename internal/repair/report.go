package repair

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Report describes what a topic has and what it has lost.
type Report struct {
	Topic protocol.Topic `json:"topic"`
	// Record describes what is wrong with the topic's record; empty if it is intact. If it is
	// not, Topic was derived from the logs.
	Record     string      `json:"record,omitempty"`
	Partitions []Partition `json:"partitions"`
	Store      *Store      `json:"store,omitempty"` // nil if no object store was searched
	// Continued are the partitions whose loss was accepted. The rest of the report describes
	// their state before that.
	Continued []Accepted `json:"continued,omitempty"`
}

// Partition is the part of a report about one partition.
type Partition struct {
	Partition   int32  `json:"partition"`
	LogName     string `json:"log_name"`
	Incarnation uint32 `json:"incarnation,omitempty"` // of the log
	// Findings describe what is wrong, one sentence each. The partition is intact if there are
	// none.
	Findings []string `json:"findings"`
	// Silent is the reason why the snapshots or the mark could not be read, if JetStream did
	// not answer. They may be intact, and so may the log.
	Silent error `json:"-"`
	Log    Log   `json:"log"`
	// History is what is archived of the log; nil if nothing is.
	History *History `json:"history,omitempty"`
	// Purged are ranges of sequences that the stream does not have and need not have, because
	// they are archived.
	Purged   []Hole         `json:"-"`
	Snapshot *Snapshot      `json:"snapshot,omitempty"` // the newest that can be read
	Mark     *messages.Mark `json:"mark,omitempty"`
	// Unknown are the offsets that are missing in the log, although they were used or may have
	// been.
	Unknown []Offsets `json:"unknown_offsets"`
	// Lanes are the batches in the object store to which the log does not refer.
	Lanes []Lane `json:"lanes"`
	// Copies counts batches of the object store that the log has in another object, because
	// they were staged or sent twice.
	Copies int `json:"copies"`
	// Refused counts batches that the log lists as refused.
	Refused int `json:"refused"`
	// Plan is what accepting the loss does; nil if nothing is wrong with the log, if only the topic's
	// record is, or without a store. PlanError says why the loss cannot be accepted.
	Plan      *Plan  `json:"plan,omitempty"`
	PlanError string `json:"plan_error,omitempty"`
	// NewestObject is the time when the newest batch of the partition was staged, in the log or
	// not.
	NewestObject *time.Time `json:"newest_object,omitempty"`
}

// Log describes the readable part of a log.
type Log struct {
	Exists        bool       `json:"exists"`
	FirstSequence uint64     `json:"first_sequence"`
	LastSequence  uint64     `json:"last_sequence"` // as JetStream reports it; the readable part may end before it
	Entries       int64      `json:"entries"`       // that can be read
	FirstOffset   int64      `json:"first_offset"`  // of the history, or else from the first entry; 0 if that is lost
	EndSequence   uint64     `json:"end_sequence"`  // of the last readable entry
	EndOffset     int64      `json:"end_offset"`    // the offset after its last record
	EndTime       *time.Time `json:"end_time,omitempty"`
	Holes         []Hole     `json:"holes"`
	// Gaps are the offsets without records that the log itself records: reserved by an
	// owner that crashed, or given up by an earlier repair.
	Gaps []Offsets `json:"gaps"`
}

// History is the part of a log that segments hold.
type History struct {
	Manifest    string `json:"manifest"` // key of the object that lists the segments
	StartOffset int64  `json:"start_offset"`
	EndSequence uint64 `json:"end_sequence"` // of the last archived entry
	EndOffset   int64  `json:"end_offset"`   // the offset after its last record
	// Found says that no entry of the log that can be read names the manifest: it was found in the
	// object store.
	Found bool `json:"found,omitempty"`
}

// Hole is a range of entries that a log lacks.
type Hole struct {
	FirstSequence uint64 `json:"first_sequence"`
	LastSequence  uint64 `json:"last_sequence"`
	Offsets
	Reason string `json:"reason"`
}

// Offsets is the range of offsets from From up to, but not including, To. To is nil if the
// end is not known.
type Offsets struct {
	From int64  `json:"from_offset"`
	To   *int64 `json:"to_offset,omitempty"`
}

// Snapshot is the end of the log according to its newest readable snapshot.
type Snapshot struct {
	Sequence  uint64    `json:"sequence"`
	EndOffset int64     `json:"end_offset"`
	Time      time.Time `json:"time"`

	history messages.History
}

// Lane summarizes the batches of one lane and frontend epoch to which the log does not refer.
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
	// NotShared is the reason why the store may not be the one that the services
	// use; empty if it is.
	NotShared string    `json:"not_shared,omitempty"`
	Objects   int64     `json:"objects"`
	Bytes     int64     `json:"bytes"`
	Damaged   []Damaged `json:"damaged"`
	// MoreDamaged is how many damaged objects are not in Damaged.
	MoreDamaged int64 `json:"more_damaged,omitempty"`
}

// Damaged is an object that cannot be read to its end. A process that is killed during an
// upload may leave one; no log refers to it then.
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
