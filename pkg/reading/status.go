package reading

import "laneway.dev/pkg/protocol"

// Status is what a message without records says. An offset that the message does not name is
// negative.
type Status struct {
	Code           string          // one of protocol's Status constants, or that of an error
	Err            *protocol.Error // not used with the codes of heartbeats, gaps and ends
	Next           int64           // the next offset of the frontend
	GapFrom, GapTo int64           // offsets without records, or with records that cannot be read
}

// Action is what a consumer does after a status.
type Action int

const (
	// Credit publishes a credit, which also shows that the consumer is running, and continues
	// the fetch.
	Credit Action = iota + 1
	// PassGap delivers the gap, calls Passed, and continues the fetch.
	PassGap
	// PassDeleted delivers the offsets below the log start as a gap with its error, calls Passed,
	// and sends the next request at once. Their records were deleted before they were read, by
	// retention or truncation, and the frontend has ended the fetch.
	PassDeleted
	// PassDamage delivers the damage as a gap with its error, calls Passed, and sends the next
	// request at once. The frontend has ended the fetch.
	PassDamage
	// Leave cancels the fetch, in which messages are missing, and sends the next request.
	Leave
	// FetchAgain sends the next request. The frontend has ended the fetch early.
	FetchAgain
	// End ends the reading: everything that is wanted was delivered.
	End
	// Fail ends the reading with the error, which another request would not change.
	Fail
)

// Status returns what the consumer does after a status of the current fetch. skipDamage
// continues behind records that cannot be read. The error says why for PassDeleted, PassDamage,
// Leave, FetchAgain and Fail. It is a [*Lost] for Leave, and else a [*protocol.Error].
func (r *Reader) Status(s Status, skipDamage bool) (Action, error) {
	switch s.Code {
	case protocol.StatusGap:
		if s.GapFrom < 0 || s.GapTo < 0 {
			return Fail, protocol.Errorf(protocol.CodeInternal, "a gap without its first or last offset")
		}
		if err := r.gap(s.GapFrom, s.GapTo); err != nil {
			return Leave, err
		}
		return PassGap, nil
	case protocol.StatusHeartbeat:
		if err := r.place(s.Next); err != nil {
			return Leave, err
		}
		return Credit, nil
	case protocol.StatusEnd, protocol.StatusNoRecords: // no error has these codes
		return r.end(s.Next)
	}
	return r.failure(s, skipDamage)
}

// end returns what follows the end of a fetch. A fetch that follows has no end unless it is
// complete, so the frontend has ended it early.
func (r *Reader) end(next int64) (Action, error) {
	if err := r.place(next); err != nil {
		return Leave, err
	}
	if r.follow && !r.Complete() {
		return FetchAgain, protocol.NewError(protocol.CodeUnavailable, "the frontend ended a fetch that follows")
	}
	return End, nil
}

func (r *Reader) failure(s Status, skipDamage bool) (Action, error) {
	switch {
	case s.Err == nil:
		return Fail, protocol.Errorf(protocol.CodeInternal, "status %.40q", s.Code)
	case skipDamage && s.Err.Code == protocol.CodeCorrupt && s.GapFrom >= 0 && s.GapTo >= 0:
		// Without GapTo, no record behind the damage can be read.
		if err := r.gap(s.GapFrom, s.GapTo); err != nil {
			return Leave, err
		}
		return PassDamage, s.Err
	case !r.given && s.Err.Code == protocol.CodeOffsetOutOfRange && s.GapFrom >= 0 && s.GapTo >= 0:
		if err := r.gap(s.GapFrom, s.GapTo); err != nil {
			return Leave, err
		}
		return PassDeleted, s.Err
	case s.Err.Retryable():
		return FetchAgain, s.Err
	}
	return Fail, s.Err
}
