package storecheck

import (
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
)

// Report is what a check has found.
type Report struct {
	Store Store `json:"store"`
	Logs  *Logs `json:"logs,omitempty"` // nil if no server was given
	// Damaged are the objects that are not what was stored, or are missing, by key.
	Damaged []*Object `json:"damaged"`
	// MoreDamaged is how many damaged objects are not in Damaged.
	MoreDamaged int64 `json:"more_damaged,omitempty"`
	// Unfinished are torn objects to which no log refers: uploads that are under way, or
	// whose process died. Nothing is lost with them. Without a server they are Damaged.
	Unfinished []*Object `json:"unfinished"`
}

// Store counts what can be read in the store. Damaged objects count as objects, and their
// whole batches as batches.
type Store struct {
	Place   string `json:"place"`
	ID      string `json:"id,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Marker says why it is not certain that the store is that of the cluster: the marker, which
	// has the two ids, or the record of the cluster was lost or is damaged.
	Marker string `json:"marker,omitempty"`
	// Advice says what to do about that.
	Advice string `json:"advice,omitempty"`
	// Objects and Bytes count the objects with batches of many partitions, without segments and
	// manifests.
	Objects   int64    `json:"objects"`
	Bytes     int64    `json:"bytes"`
	Batches   int64    `json:"batches"`
	Records   int64    `json:"records"`
	Segments  Segments `json:"segments"`
	Manifests Counted  `json:"manifests"` // with lists of segments
	// Errors say what could not be listed, such as a folder without permission.
	Errors []string `json:"errors"`
}

// Counted counts objects.
type Counted struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (c *Counted) add(bytes int64) {
	c.Objects++
	c.Bytes += bytes
}

// Segments counts segments, and what can be read in them.
type Segments struct {
	Counted
	Batches int64 `json:"batches"`
	Records int64 `json:"records"`
}

func (s *Segments) add(read *stored) {
	s.Counted.add(read.size)
	s.Batches += read.batches
	s.Records += read.records
}

func (l *Logs) addWaiting(size int64, archived bool) {
	l.Waiting.add(size)
	if archived {
		l.WaitingArchived.add(size)
	}
}

// Logs counts what the logs refer to.
type Logs struct {
	Topics     int64 `json:"topics"`
	Partitions int64 `json:"partitions"`
	Entries    int64 `json:"entries"` // in the streams of the logs
	// Batches and Records are those of entries that are not archived.
	Batches int64 `json:"batches"`
	Records int64 `json:"records"`
	// Archived counts the segments that the newest manifests of the logs list.
	Archived Segments `json:"archived"`
	// GivenUpRecords are records that could not be read when they were archived.
	GivenUpRecords int64 `json:"given_up_records,omitempty"`
	// Waiting are the objects that no log needs, as in Usage. Of damaged ones it has only those whose
	// batches are archived.
	Waiting Counted `json:"waiting"`
	// WaitingArchived are those of them with batches of which segments have a copy.
	WaitingArchived Counted `json:"waiting_archived"`
	// Problems say which topics and logs are damaged themselves, so that not everything
	// that they referred to is known.
	Problems []string `json:"problems"`
	// Lost are the partitions with records that cannot be read.
	Lost []*Lost `json:"lost"`
}

// Lost is what cannot be read of a partition, because of damaged or missing objects.
type Lost struct {
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Batches   int64            `json:"batches"` // without those of segments whose index cannot be read
	Records   int64            `json:"records"`
	Offsets   []repair.Offsets `json:"offsets"` // the first ones of many
}

// Object is an object that is damaged or missing.
type Object struct {
	Key string `json:"key"`
	// Size is in bytes. It is 0 if it is unknown, because the object was not listed.
	Size   int64              `json:"size"`
	Staged time.Time          `json:"staged"` // when its key was made
	Damage objectstore.Damage `json:"damage"`
	Reason string             `json:"reason"`
	// Referenced says that a log refers to the object. It is false without a server.
	Referenced bool `json:"referenced"`
	archived   bool // segments have batches of the object
	// Affects are the batches that cannot be read: with a server those that are in a log,
	// else those whose heads can be read.
	Affects []Affected `json:"affects"`
}

// The kinds of damage beside those that objectstore tells apart.
const (
	Missing    objectstore.Damage = "missing"    // a log refers to an object that is not there
	Unreadable objectstore.Damage = "unreadable" // the store cannot read it, such as without permission
)

// Affected are batches of a partition that cannot be read. Without a server, Offsets is nil for an
// object with batches of many partitions, because it does not know their offsets.
type Affected struct {
	Topic           string `json:"topic"`
	Partition       int32  `json:"partition"`
	Batches         int64  `json:"batches"` // 0 if it is unknown how many have the records
	Records         int64  `json:"records"`
	*repair.Offsets        // without its end
}

// Wrong reports whether anything is damaged, missing or could not be read.
func (r *Report) Wrong() bool {
	return len(r.Damaged) > 0 || r.MoreDamaged > 0 || r.Store.Marker != "" || len(r.Store.Errors) > 0 ||
		r.Logs != nil && len(r.Logs.Problems) > 0
}
