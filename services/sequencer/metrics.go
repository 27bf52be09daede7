package sequencer

import "laneway.dev/internal/telemetry"

var readings = []telemetry.Reading{
	{Name: "laneway.sequencer.stage.completions", Description: "Batches that were staged", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.stage.early", Description: "Batches whose staging finished before that of an earlier ticket of their lane", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.releases", Description: "Batches released for the first time", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.releases.repeated", Description: "Batches released again", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.outdated", Description: "Batches whose object the log has refused, because it was too old", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.inline.dropped", Description: "Inline batches that were dropped for lack of memory, and are staged again", Unit: "{batch}", Counter: true},
	{Name: "laneway.sequencer.lanes", Description: "Lanes with a batch in flight", Unit: "{lane}"},
	{Name: "laneway.sequencer.waiting", Description: "Staged batches that wait for an earlier ticket", Unit: "{batch}"},
	{Name: "laneway.sequencer.logs", Description: "Logs with partitions that this instance owns", Unit: "{log}"},
	{Name: "laneway.sequencer.dropped", Description: "Messages that were dropped because they arrived faster than they were taken", Unit: "{message}", Counter: true},
	{Name: "laneway.sequencer.malformed", Description: "Internal messages that could not be read", Unit: "{message}", Counter: true},
}

// served returns how many logs are served.
func (s *Service) served() (n int64) {
	for _, l := range s.all() {
		if l.served() {
			n++
		}
	}
	return n
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Completions), int64(t.Early), int64(t.Released), int64(t.Repeated), int64(t.Outdated), int64(t.Dropped), int64(t.Lanes), int64(t.Waiting), s.served(),
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}
