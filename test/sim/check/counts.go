package check

import (
	"fmt"
	"reflect"
	"strings"

	"laneway.dev/pkg/protocol"
)

// Counts is what a run, or many, came across.
type Counts struct {
	Events, Issued, Acked, Resent, Duplicates, Joined int
	Lost, Doubled, Late                               int
	StagingFailed, PutsRepeated, AdmissionRefused     int
	LateAppends, AcksLost, LeaderChanges              int
	ProposalsLost, Terms, Barriers, Fences, Rejected  int
	Snapshots, SnapshotsDamaged, SnapshotStarts       int
	Crashes, Hangs, Zombies, Cuts                     int
	Fenced, Replaced                                  int
	ClientRestarts, ClientsFenced, Disconnects        int
	NoRoom                                            int
	OutOfOrder, InvalidEpoch, NotCommitted, GivenUp   int
	Early, Repeated, Restaged                         int
	Wraps, BusyFailovers, UnsyncedLost, SlowLanes     int
	WrongExpectations, SnapshotsReplayed              int
	SlowUploads, Rests, TooManyProducers              int
	WrongIDs, EpochsBegun, EpochsLost                 int
	Marks, MarksMoved, Gaps, NamesLost                int
	Fetched, GapsFetched, DamageFetched, Consumed     int // by consumers
	BatchesDamaged, NotSent                           int
	Reported, RestagedByName, AnnouncementsLost       int // by and of stagers
	Together                                          int // arrived in one turn with another one
	Created, PartitionsDeleted                        int // during a run
	Meetings                                          int // of messages of different partitions in one parcel
	LimitChanges                                      int
	Shared, JournalPurges, ReadsFailed                int // groups with several sections, and what happens to journals
	Jobs, JobsFailed, JobsFrozen, JobsDoubled         int // of archivers
	PutsLate, PutsLost, Unreadable, ArchivedDamaged   int // at archivers
	Inline                                            int // batches in the log
	Archives, AnswersIgnored, Congested, Merged       int
	Purges, PurgesFailed, PurgesLate                  int
	SavesFailed, SnapshotsLost, Unfounded             int
	Generations, Watermarks, Outdated                 int // of objects
	HistoryFetched, HistoryAway, Overtaken            int // by fetches
	Sweeps, SweepsEnded, SweepsPaused, Swept          int // complete ones, others, and the objects that they delete
	PutsAgain, SweepsOvertaken, ReadInVain            int // puts that land once more, sweeps by others, and reads of what is deleted
	Deleted, WaitingDeleted, DeletesLate              int // objects
	Dropped, JobsDropping, ListsCut                   int // records, and what drops them
	Retentions, TimesAsked                            int // changes of the retention, and what owners learn of JetStream's time
	Truncations, TruncationsRefused                   int
	ConsumersOvertaken, OutOfRange                    int // by what was dropped
}

// String returns a table.
func (c Counts) String() string {
	const columns = 4
	var text strings.Builder
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		end := "   "
		if i%columns == columns-1 || i == v.NumField()-1 {
			end = "\n"
		}
		fmt.Fprintf(&text, "%-17s %11d%s", v.Type().Field(i).Name, v.Field(i).Int(), end)
	}
	return text.String()
}

// Faults returns how many of the planned faults have happened.
func (c *Counts) Faults() int {
	return c.Lost + c.Doubled + c.Late + c.StagingFailed + c.SlowUploads + c.UnsyncedLost + c.AdmissionRefused +
		c.LateAppends + c.AcksLost + c.LeaderChanges + c.SnapshotsDamaged +
		c.Crashes + c.Hangs + c.Zombies + c.Cuts + c.ClientRestarts + c.Disconnects
}

func (c *Counts) refused(code protocol.Code) {
	switch code {
	case protocol.CodeOutOfOrderSequence, protocol.CodeOutOfOrderFinal:
		c.OutOfOrder++
	case protocol.CodeOverloaded:
		c.NoRoom++
	case protocol.CodeWrongLastSequence:
		c.WrongExpectations++
	case protocol.CodeWrongLastID:
		c.WrongIDs++
	case protocol.CodeInvalidEpoch:
		c.InvalidEpoch++
	case protocol.CodeTooManyProducers:
		c.TooManyProducers++
	case protocol.CodeNotCommitted:
		c.NotCommitted++
	case protocol.CodeOutcomeUnknown, protocol.CodeFailed:
		c.GivenUp++
	}
}
