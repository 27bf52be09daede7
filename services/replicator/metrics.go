package replicator

import (
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
	{Name: "laneway.replicator.oversized", Description: "Snapshots not made because they would be too large", Unit: "{snapshot}", Counter: true},
	{Name: "laneway.replicator.replayed", Description: "Entries read while taking over logs", Unit: "{entry}", Counter: true},
	{Name: "laneway.replicator.clock_falls", Description: "Entries with a time below that of the entry before, which was far ahead of the clock", Unit: "{fall}", Counter: true},
	{Name: "laneway.replicator.damaged_partitions", Description: "Partitions that are read-only, because their logs have lost entries", Unit: "{partition}"},
	{Name: "laneway.replicator.left_out", Description: "Offsets left out because an earlier owner had reserved them and did not stop cleanly", Unit: "{offset}", Counter: true},
	{Name: "laneway.replicator.marks", Description: "Marks written; they reserve positions in the logs", Unit: "{mark}", Counter: true},
	{Name: "laneway.replicator.dropped", Description: "Messages dropped because they arrived faster than they were handled", Unit: "{message}", Counter: true},
	{Name: "laneway.replicator.malformed", Description: "Internal messages that could not be decoded", Unit: "{message}", Counter: true},
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Entries), int64(t.Batches), int64(t.Records), int64(t.Duplicates), int64(t.Repeats),
		int64(t.Asks), int64(t.Terms), int64(t.Lanes), int64(t.IDs),
		int64(t.Refused), int64(t.Producers), int64(t.Snapshots), int64(t.Oversized), int64(t.Replayed),
		int64(t.ClockFalls), int64(t.Damaged), t.Gap, int64(t.Marks),
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}

// Stats returns the sums over all partitions. Fields that have no sum, such as Term, are 0.
func (s *Service) Stats() core.Stats {
	var sum core.Stats
	for _, p := range s.set.Actors() {
		if t := p.stats.Load(); t != nil {
			sum.Marks += t.Marks
			sum.Gap += t.Gap
			if t.Damage != "" {
				sum.Damaged++
			}
			sum.Entries += t.Entries
			sum.Batches += t.Batches
			sum.Records += t.Records
			sum.Duplicates += t.Duplicates
			sum.Repeats += t.Repeats
			sum.Asks += t.Asks
			sum.Terms += t.Terms
			sum.Lanes += t.Lanes
			sum.IDs += t.IDs
			sum.Refused += t.Refused
			sum.Producers += t.Producers
			sum.Snapshots += t.Snapshots
			sum.Oversized += t.Oversized
			sum.Replayed += t.Replayed
			sum.ClockFalls += t.ClockFalls
		}
	}
	return sum
}
