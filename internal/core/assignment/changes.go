package assignment

import "slices"

// with returns the record with another log in the place of one.
func (r Record) with(log int, change func(l *Log)) Record {
	r.Logs = slices.Clone(r.Logs)
	change(&r.Logs[log])
	return r
}

// GivenAway returns the record after the owner of a log has given it to the one that is next.
func (r Record) GivenAway(log int) Record {
	return r.with(log, func(l *Log) { l.Owner, l.Next, l.Epoch = l.Next, "", l.Epoch+1 })
}

// Kept returns the record after the owner of a log has ended the hand-over, because the next one was not
// ready in time.
func (r Record) Kept(log int) Record {
	return r.with(log, func(l *Log) { l.Next = "" })
}

// Raised returns the record with a higher epoch for the owner of a log, above one that it was told of.
func (r Record) Raised(log int, above uint64) Record {
	return r.with(log, func(l *Log) { l.Epoch = max(l.Epoch, above) + 1 })
}

// Able returns the record after an instance that has given a log up, and does not own it, has said that it may get it
// again.
func (r Record) Able(log int, instance string) Record {
	return r.with(log, func(l *Log) {
		l.Failed = slices.DeleteFunc(slices.Clone(l.Failed), func(failed string) bool { return failed == instance })
	})
}

// NotBelow returns the record with each epoch that differs from that of another record, which it is to replace, not below
// an epoch. So epochs that follow the time of day are never given twice, even if the record was lost, or restored
// from a copy, while there was no member.
func (r Record) NotBelow(least uint64, other Record) Record {
	r.Logs = slices.Clone(r.Logs)
	for n := range r.Logs {
		if n >= len(other.Logs) || r.Logs[n].Epoch != other.Logs[n].Epoch {
			r.Logs[n].Epoch = max(r.Logs[n].Epoch, least)
		}
	}
	return r
}

// GivenUp returns the record after the owner of a log has said that it cannot work on it.
func (r Record) GivenUp(log int) Record {
	return r.with(log, func(l *Log) {
		if at, found := slices.BinarySearch(l.Failed, l.Owner); !found {
			l.Failed = slices.Insert(slices.Clone(l.Failed), at, l.Owner)
		}
	})
}
