package main

import (
	"strconv"
	"time"

	"laneway.dev/pkg/messages"
)

// start is where consume begins: exactly one of the fields is set.
type start struct {
	from   string
	offset *int64
	time   *time.Time
}

// parseStart reads the value of --from.
func parseStart(value string) (start, error) {
	if value == messages.FromEarliest || value == messages.FromLatest {
		return start{from: value}, nil
	}
	if offset, err := strconv.ParseInt(value, 10, 64); err == nil && offset >= 0 {
		return start{offset: &offset}, nil
	}
	if moment, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return start{time: &moment}, nil
	}
	return start{}, misuse("--from %q is none of earliest, latest, an offset such as 42, and a time such as 2026-11-23T10:00:00Z", value)
}
