package main

import (
	"fmt"
	"strconv"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/protocol"
)

// start is where consume begins: exactly one of the fields is set.
type start struct {
	from   string
	offset *int64
	time   *time.Time
}

// parseStart reads the value of --from.
func parseStart(value string) (start, error) {
	if value == protocol.FromEarliest || value == protocol.FromLatest {
		return start{from: value}, nil
	}
	if offset, err := strconv.ParseInt(value, 10, 64); err == nil && offset >= 0 {
		return start{offset: &offset}, nil
	}
	if moment, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return start{time: &moment}, nil
	}
	return start{}, cli.Misuse("--from %q is none of earliest, latest, an offset such as 42, and a time such as 2026-11-23T10:00:00Z", value)
}

// asTime returns the time that an offset may be meant for, if it looks like one since
// 1970 in seconds, milliseconds, microseconds or nanoseconds: between 2001 and 2286.
func asTime(offset int64) (time.Time, bool) {
	for unit := int64(time.Second); unit > 0; unit /= 1000 {
		if perSecond := int64(time.Second) / unit; offset >= 1e9*perSecond && offset/perSecond < 1e10 {
			return time.Unix(offset/perSecond, offset%perSecond*unit).UTC(), true
		}
	}
	return time.Time{}, false
}

// orTime adds to the error of an offset how it is written if it was meant for a time.
func (s start) orTime(err error) error {
	if s.offset == nil || err == nil {
		return err
	}
	moment, looks := asTime(*s.offset)
	if !looks {
		return err
	}
	return cli.Advise(err, fmt.Sprintf("--from %d is an offset; for the time write: --from %s", *s.offset, moment.Format(time.RFC3339Nano)))
}
