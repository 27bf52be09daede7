// Package ownership decides which instance of a role is its owner. Frontends, sequencers
// and replicators take an epoch when they start, and take another one when a log or another
// service knows an epoch that is not below theirs.
//
// The assignment of a role is one record, which instances replace by compare-and-set.
// [Assignment.Next] decides what follows from it when an instance needs an epoch: the
// instance ends, because a younger one has taken over, or it takes the next epoch. The
// package decides and does nothing else: its caller reads and writes the record.
package ownership

import "time"

// Assignment says which instance has taken the newest epoch of a role. The zero value
// means that no instance has, or that the record was lost.
type Assignment struct {
	Epoch    uint64
	Instance string
}

// ReplacedBy reports whether found, which is what the record of the role holds, proves that an
// instance younger than own's exists. These prove nothing:
//
//   - a lower epoch, because the record may have been lost or restored from a copy
//   - a higher epoch of the same instance, which took it without receiving the acknowledgement
//   - any epoch, for an instance that has not taken one yet
func (own Assignment) ReplacedBy(found Assignment) bool {
	return own.Epoch != 0 && found.Epoch > own.Epoch && found.Instance != own.Instance
}

// Next returns the assignment that own's instance is to write over found. Its epoch is above
// found's, and above the epoch that has fenced the instance. above is 0 for an instance that
// has just started. If replaced is true, the instance MUST end instead and send nothing more.
//
// The first epoch of a record is the Unix time in seconds. Instances start less often than
// once a second. If a record was lost and is written again, its epochs are therefore above
// those that logs know, and no new ticket has the epoch and number of an old one. If the clock
// was set back meanwhile, owners are fenced until their epochs have passed the known ones.
func (own Assignment) Next(found Assignment, above uint64, now time.Time) (next Assignment, replaced bool) {
	if own.ReplacedBy(found) {
		return Assignment{}, true
	}
	next = Assignment{Epoch: max(found.Epoch, above) + 1, Instance: own.Instance}
	if found == (Assignment{}) {
		next.Epoch = max(next.Epoch, uint64(max(0, now.Unix())))
	}
	return next, false
}
