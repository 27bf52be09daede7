package sweep

import (
	"time"

	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/pkg/protocol"
)

// Kind is what an object holds.
type Kind uint8

const (
	// Other is everything that no sweep deletes.
	Other Kind = iota
	// Batches is an object of a stager.
	Batches
	// Segment is a part of the history of a partition.
	Segment
	// Manifest is a manifest, or a list of segments.
	Manifest
)

// Object is an object as the store lists it.
type Object struct {
	Key        string
	Size       int64
	Kind       Kind
	Generation uint64 // 0 if its key names none
}

// Log is the last entry of a log, as the leader of its stream has it.
type Log struct {
	Partition protocol.Partition
	Sequence  uint64
	Watermark uint64
	Manifest  string // key of its newest manifest; "" if nothing is archived
}

// Contents is what a manifest and its lists name.
type Contents struct {
	Key     string
	Names   []string // segments, lists, and segments of lists
	Waiting []string // objects that wait for their deletion
}

// Tombstone is a topic that was deleted.
type Tombstone struct {
	Topic uint64 // its id
	// Seen is the generation of the first sweep that has seen the tombstone; 0 if none has. The
	// topic has no objects of later generations, except for some that nothing refers to.
	Seen uint64
	// Passing marks a topic that is being deleted and has no tombstone to be removed.
	Passing bool
}

// Record says what a sweep has gone by.
type Record = sweeprecord.Record

// LogRecord is what a sweep has found of a log.
type LogRecord = sweeprecord.Log

// Failure is something that could not be read.
type Failure struct {
	What    string // the partition or the key
	Reason  string
	Missing bool // an object that the store does not have
}

// An Event is the result of the last effect, or starts a sweep.
type Event any

type (
	// Start starts a sweep.
	Start struct {
		// Compare has only the records compared with the logs that can be read. Nothing is raised, stored or
		// deleted, and only an alarm of the outcome says anything.
		Compare bool
	}
	// RecordsFound answers ReadRecords.
	RecordsFound struct {
		Records []Record
		Torn    []string // keys of records that were not stored completely
		// Known and Named are the number and the key of the newest record, according to NATS, before the
		// records were listed; 0 and "" if NATS names none. An older release has noted no key.
		Known uint64
		Named string
	}
	// Raised answers Raise.
	Raised struct{ Generation uint64 }
	// LogsRead answers ReadLogs.
	LogsRead struct {
		Logs   []Log
		Failed []Failure // named by partition
	}
	// LogsListed answers ListLogs. Logs are those of the registry, and all others with a stream,
	// except those of deleted topics, and those that a log of the registry continues. Continuing are those
	// that continue a log of the registry.
	LogsListed struct {
		Logs       []protocol.Partition
		Continuing []protocol.Partition
		Deleted    []Tombstone
	}
	// ManifestsRead answers ReadManifests.
	ManifestsRead struct {
		Manifests []Contents
		Failed    []Failure // named by the key of the manifest
	}
	// RecordStored answers StoreRecord.
	RecordStored struct{}
	// Page answers List and Next.
	Page struct {
		Objects []Object
		Last    bool
	}
	// Deleted answers Delete.
	Deleted struct {
		Objects, Bytes int64
		Failed         string // why some of them could not be deleted; "" if all are gone
	}
	// Failed answers any effect that could not be carried out. It ends the sweep.
	Failed struct{ Reason string }
)

// An Effect is the next step of a sweep. Its result is the next event.
type Effect any

type (
	// ReadRecords reads all records of earlier sweeps from the store.
	ReadRecords struct{}
	// Raise raises the generation.
	Raise struct{}
	// ReadLogs reads the last entry of logs from the leaders of their streams, after a pause. Without
	// Logs it reads those of all logs that there are.
	ReadLogs struct {
		Logs  []protocol.Partition
		Pause time.Duration
	}
	// ListLogs finds out which logs there are, and which topics were deleted.
	ListLogs struct{}
	// ReadManifests reads manifests and their lists.
	ReadManifests struct{ Keys []string }
	// StoreRecord stores a record, reads it back, and names it in NATS. It fails if another record was named
	// there since ReadRecords. After that it deletes the records with the keys Obsolete, and notes in the
	// tombstones of the topics Seen that this sweep has seen them.
	StoreRecord struct {
		Record   Record
		Obsolete []string
		Seen     []uint64
	}
	// List begins to list the objects of the store.
	List struct{ Ranges []Range }
	// Next continues the list.
	Next struct{}
	// Delete deletes objects, at a limited rate.
	Delete struct{ Objects []Object }
	// End is the last effect of a sweep.
	End struct{ Outcome Outcome }
)

// Range is a part of the store.
type Range struct {
	Kind Kind
	// Generation limits the range to one generation; 0 means all.
	Generation uint64
}

// Alarm says that the logs and the store are not from the same time.
type Alarm uint8

const (
	// NoAlarm means that nothing was noticed.
	NoAlarm Alarm = iota
	// LogOlder means that the store has records of more than the logs have.
	LogOlder
	// StoreOlder means that the store lacks what the logs have named.
	StoreOlder
)

// Behind is a log that is older than the store.
type Behind struct {
	Partition protocol.Partition
	Reason    string
}

// Outcome is how a sweep has ended.
type Outcome struct {
	// Reason is why the sweep has ended early; "" if it is complete.
	Reason string
	// Partition is the one whose log is the reason; "" if the reason is another one.
	Partition  string
	Alarm      Alarm
	Generation uint64
	Bound      uint64 // 0 if the sweep has ended before it was known
	// Behind are the logs that are older than the store, if Alarm is LogOlder. There are none if only logs are
	// gone.
	Behind []Behind
	// Restored is why NATS as a whole was restored from an older time, so that Behind has all logs that
	// earlier sweeps have read; "" if it was not.
	Restored string
	// Holding is the partition whose watermark is the bound; "" if the generation alone is.
	Holding string
	Full    bool  // all generations were listed
	Listed  int64 // objects
	// Deleted and DeletedBytes include those that were waiting for their deletion, whose size is not
	// known.
	Deleted, DeletedBytes int64
	// Orphans are the objects that are not named and stay, because they are not below the bound. Some
	// of them have batches that are not archived.
	Orphans, OrphanBytes int64
	// Forget are the topics whose tombstones have done their duty.
	Forget []uint64
}
