package replicator

import (
	"time"

	"laneway.dev/internal/telemetry"
	"laneway.dev/services/replicator/core"
)

var readings = []telemetry.Reading{
	{Name: "laneway.replicator.entries", Description: "Messages appended to the logs", Unit: "{entry}", Counter: true},
	{Name: "laneway.replicator.batches", Description: "Batches committed", Unit: "{batch}", Counter: true},
	{Name: "laneway.replicator.records", Description: "Records committed", Unit: "{record}", Counter: true},
	{Name: "laneway.replicator.duplicates", Description: "Duplicate batches, by producer sequence or message id", Unit: "{batch}", Counter: true},
	{Name: "laneway.replicator.repeats", Description: "Releases of batches that had arrived before", Unit: "{batch}", Counter: true},
	{Name: "laneway.replicator.asks", Description: "Requests to repeat lost releases", Unit: "{lane}", Counter: true},
	{Name: "laneway.replicator.terms", Description: "Terms started: logs taken over, or read again after a failed append", Unit: "{term}", Counter: true},
	{Name: "laneway.replicator.lanes", Description: "Lanes remembered", Unit: "{lane}"},
	{Name: "laneway.replicator.message_ids", Description: "Message ids remembered", Unit: "{id}"},
	{Name: "laneway.replicator.refused", Description: "Batches refused for their producer sequence", Unit: "{batch}", Counter: true},
	{Name: "laneway.replicator.producers", Description: "Idempotent producers remembered", Unit: "{producer}"},
	{Name: "laneway.replicator.snapshots", Description: "Snapshots made", Unit: "{snapshot}", Counter: true},
	{Name: "laneway.replicator.snapshot_failures", Description: "Snapshots that could not be stored", Unit: "{snapshot}", Counter: true},
	{Name: "laneway.replicator.archives", Description: "Parts of logs that were archived", Unit: "{part}", Counter: true},
	{Name: "laneway.replicator.archive_failures", Description: "Attempts to archive a part of a log that have failed", Unit: "{attempt}", Counter: true},
	{Name: "laneway.replicator.unarchivable", Description: "Records that could not be read from the object store, and were given up", Unit: "{record}", Counter: true},
	{Name: "laneway.replicator.unarchived", Description: "Bytes of the entries of the logs that are not archived", Unit: "By"},
	{Name: "laneway.replicator.unarchived_age", Description: "Age of the oldest batch that is not archived, of all partitions", Unit: "s"},
	{Name: "laneway.replicator.log", Description: "Bytes of the entries of the logs that are not purged, as far as their owners know", Unit: "By"},
	{Name: "laneway.replicator.purged", Description: "Bytes of the entries that were purged from the logs", Unit: "By", Counter: true},
	{Name: "laneway.replicator.outdated", Description: "Batches that were staged again, because their objects were older than the watermark of the log", Unit: "{batch}", Counter: true},
	{Name: "laneway.replicator.generation", Description: "Newest generation of objects that is known", Unit: "{generation}"},
	{Name: "laneway.replicator.watermark", Description: "Lowest watermark of the logs: older objects may be deleted", Unit: "{generation}"},
	{Name: "laneway.replicator.congested_partitions", Description: "Partitions that take no new requests, because too much of their logs is not archived", Unit: "{partition}"},
	{Name: "laneway.replicator.replayed", Description: "Entries read while taking over logs", Unit: "{entry}", Counter: true},
	{Name: "laneway.replicator.clock_falls", Description: "Entries with a time below that of the entry before, which was far ahead of the clock", Unit: "{fall}", Counter: true},
	{Name: "laneway.replicator.damaged_partitions", Description: "Partitions that are read-only, because their logs have lost entries", Unit: "{partition}"},
	{Name: "laneway.replicator.left_out", Description: "Offsets left out because an earlier owner had reserved them and did not stop cleanly", Unit: "{offset}", Counter: true},
	{Name: "laneway.replicator.marks", Description: "Marks written; they reserve positions in the logs", Unit: "{mark}", Counter: true},
	{Name: "laneway.replicator.logs", Description: "Logs with partitions that this instance owns", Unit: "{log}"},
	{Name: "laneway.replicator.dropped", Description: "Messages dropped because they arrived faster than they were handled", Unit: "{message}", Counter: true},
	{Name: "laneway.replicator.malformed", Description: "Internal messages that could not be decoded", Unit: "{message}", Counter: true},
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Entries), int64(t.Batches), int64(t.Records), int64(t.Duplicates), int64(t.Repeats),
		int64(t.Asks), int64(t.Terms), int64(t.Lanes), int64(t.IDs),
		int64(t.Refused), int64(t.Producers), int64(t.Snapshots), int64(t.SnapshotFailures),
		int64(t.Archives), int64(t.ArchiveFailures), int64(t.Unarchivable), t.Unarchived, age(time.Now(), t.UnarchivedSince), t.LogBytes, int64(t.PurgedBytes),
		int64(t.Outdated), int64(t.Generation), int64(t.Watermark),
		s.congested(), int64(t.Replayed),
		int64(t.ClockFalls), int64(t.Damaged), t.Gap, int64(t.Marks), s.served(),
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}

// earlier returns the earlier of two times, which are zero if there is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// age returns the time since then in seconds; 0 if then is zero.
func age(now, then time.Time) int64 {
	if then.IsZero() {
		return 0
	}
	return max(0, int64(now.Sub(then)/time.Second))
}

// congested returns the number of partitions that take no new requests.
func (s *Service) congested() (n int64) {
	for _, t := range s.present() {
		if t.Congested {
			n++
		}
	}
	return n
}

// served returns how many logs are served.
func (s *Service) served() (n int64) {
	for _, l := range s.all() {
		l.place.Do(func(_ *work, owned bool) {
			if owned && len(l.partitions) > 0 {
				n++
			}
		})
	}
	return n
}

// present returns the statistics of the partitions whose logs this instance owns.
func (s *Service) present() (all []*core.Stats) {
	for _, p := range s.set.Actors() {
		if o := p.owner.Load(); o != nil {
			if t := o.stats.Load(); t != nil {
				all = append(all, t)
			}
		}
	}
	return all
}

// Stats returns the sums over all partitions, the earliest time, the lowest watermark and the newest
// generation. Fields that have no sum, such as Term, are 0. What has happened on a log that
// is another instance's now still counts.
func (s *Service) Stats() core.Stats {
	var sum core.Stats
	for _, l := range s.all() {
		l.place.Do(func(*work, bool) { count(&sum, &l.past) })
	}
	for i, t := range s.present() {
		count(&sum, t)
		if t.Damage != "" {
			sum.Damaged++
		}
		sum.Lanes += t.Lanes
		sum.IDs += t.IDs
		sum.Producers += t.Producers
		sum.Unarchived += t.Unarchived
		sum.LogBytes += t.LogBytes
		sum.UnarchivedSince = earlier(sum.UnarchivedSince, t.UnarchivedSince)
		sum.Generation = max(sum.Generation, t.Generation)
		if i == 0 || t.Watermark < sum.Watermark {
			sum.Watermark = t.Watermark
		}
	}
	return sum
}

// count adds what was counted.
func count(sum, t *core.Stats) {
	sum.Marks += t.Marks
	sum.Gap += t.Gap
	sum.Entries += t.Entries
	sum.Batches += t.Batches
	sum.Records += t.Records
	sum.Duplicates += t.Duplicates
	sum.Repeats += t.Repeats
	sum.Asks += t.Asks
	sum.Terms += t.Terms
	sum.Refused += t.Refused
	sum.Snapshots += t.Snapshots
	sum.SnapshotFailures += t.SnapshotFailures
	sum.Archives += t.Archives
	sum.ArchiveFailures += t.ArchiveFailures
	sum.Unarchivable += t.Unarchivable
	sum.PurgedBytes += t.PurgedBytes
	sum.Replayed += t.Replayed
	sum.ClockFalls += t.ClockFalls
	sum.Outdated += t.Outdated
}
