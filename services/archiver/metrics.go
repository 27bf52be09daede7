package archiver

import (
	"go.opentelemetry.io/otel/attribute"

	"laneway.dev/internal/telemetry"
)

var readings = []telemetry.Reading{
	jobs("archived"), jobs("failed"), jobs("dropped"), jobs("repeated"), jobs("replaced"),
	{Name: "laneway.archiver.records", Description: "Records in the segments", Unit: "{record}", Counter: true},
	{Name: "laneway.archiver.damaged", Description: "Records that could not be read, and are damaged in the segments", Unit: "{record}", Counter: true},
	{Name: "laneway.archiver.bytes", Description: "Bytes of the segments stored", Unit: "By", Counter: true},
	{Name: "laneway.archiver.merged", Description: "Segments that were replaced by larger ones", Unit: "{segment}", Counter: true},
	{Name: "laneway.archiver.waiting", Description: "Jobs waiting for a worker", Unit: "{job}"},
	{Name: "laneway.archiver.working", Description: "Jobs that are worked on", Unit: "{job}"},
	{Name: "laneway.archiver.dropped", Description: "Messages that were dropped because they arrived faster than they were taken", Unit: "{message}", Counter: true},
	{Name: "laneway.archiver.malformed", Description: "Internal messages that could not be read", Unit: "{message}", Counter: true},
}

func jobs(result string) telemetry.Reading {
	return telemetry.Reading{
		Name: "laneway.archiver.jobs", Description: "Jobs to archive a part of a log, by result", Unit: "{job}", Counter: true,
		Attributes: []attribute.KeyValue{attribute.String("result", result)},
	}
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Archived), int64(t.Failed), int64(t.Dropped), int64(t.Repeated), int64(t.Replaced),
		t.Records, t.Damaged, t.Bytes, int64(t.Merged), int64(t.Waiting), int64(t.Working),
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}
