package stager

import (
	"laneway.dev/internal/telemetry"
	"laneway.dev/services/stager/core"
)

var readings = []telemetry.Reading{
	{Name: "laneway.stager.batches", Description: "Batches staged", Unit: "{batch}", Counter: true},
	{Name: "laneway.stager.inline", Description: "Those among them that were returned inline, without an upload", Unit: "{batch}", Counter: true},
	{Name: "laneway.stager.objects", Description: "Objects stored", Unit: "{object}", Counter: true},
	{Name: "laneway.stager.bytes", Description: "Bytes of the objects stored", Unit: "By", Counter: true},
	{Name: "laneway.stager.refused", Description: "Batches refused", Unit: "{batch}", Counter: true},
	{Name: "laneway.stager.upload.failures", Description: "Uploads that failed, after all retries", Unit: "{upload}", Counter: true},
	{Name: "laneway.stager.upload.retries", Description: "Puts of an object that followed a failed one", Unit: "{retry}", Counter: true},
	{Name: "laneway.stager.upload.hedges", Description: "Puts of an object beside one that was late", Unit: "{put}", Counter: true},
	{Name: "laneway.stager.uploads", Description: "Uploads in flight", Unit: "{upload}"},
	{Name: "laneway.stager.uploads.limit", Description: "Uploads that may be in flight at present", Unit: "{upload}"},
	{Name: "laneway.stager.waiting", Description: "Batches waiting for an upload", Unit: "{batch}"},
	{Name: "laneway.stager.memory", Description: "Memory of the batches that are not answered", Unit: "By"},
	{Name: "laneway.stager.dropped", Description: "Messages that were dropped because they arrived faster than they were taken", Unit: "{message}", Counter: true},
	{Name: "laneway.stager.malformed", Description: "Internal messages that could not be read", Unit: "{message}", Counter: true},
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Batches), int64(t.Inline), int64(t.Objects), int64(t.Bytes), int64(t.Refused), int64(t.Failures), int64(t.Retries), int64(t.Hedges),
		int64(t.Uploading), int64(t.Limit), int64(t.Waiting), t.Held,
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}

// Stats returns what happened so far.
func (s *Service) Stats() core.Stats {
	var sum core.Stats
	if t := s.stats.Load(); t != nil {
		sum = *t
	}
	sum.Refused += s.turnedAway.Load()
	sum.Retries, sum.Hedges = s.uploader.retries.Load(), s.uploader.hedges.Load()
	return sum
}
