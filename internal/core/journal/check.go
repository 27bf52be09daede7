package journal

import (
	"errors"

	"laneway.dev/pkg/messages"
)

// What an Appender answers, besides success.
var (
	// ErrMoved means that the last entry of the log is not the expected one.
	ErrMoved = errors.New("the last entry of the log is not the expected one")
	// ErrSealed means that the log takes no more entries.
	ErrSealed = errors.New("the log is sealed")
	// ErrNoLog means that the log does not exist, or was deleted.
	ErrNoLog = errors.New("the log does not exist")
	// ErrUnknown means that a request was withdrawn while it was being appended. The journal may
	// have its section, or get it.
	ErrUnknown = errors.New("the outcome of the append is unknown")
	// ErrWithdrawn means that a request or a look was withdrawn before it was carried out.
	ErrWithdrawn = errors.New("the caller did not wait for the journal")
)

// check completes a section, and returns its log as the section leaves it; nil if the log does not
// exist. It returns an error if the section may not follow.
func check(log *State, r *Request) (*State, error) {
	s := &r.Section
	switch {
	case s.Kind == messages.SectionFirst && log != nil:
		return nil, ErrMoved
	case s.Kind == messages.SectionFirst:
		s.Sequence = r.Expected + 1
		return &State{First: s.Sequence, Last: s.Sequence, Topic: s.Topic, Stage: s.Stage}, nil
	case log == nil:
		return nil, ErrNoLog
	case s.Kind == messages.SectionDeleted && r.Expected > 0 && log.Group != r.Expected:
		return nil, ErrMoved
	case s.Kind == messages.SectionDeleted:
		return nil, nil
	}
	after := *log
	switch {
	case s.Kind == messages.SectionSealed:
		after.Stage = messages.StageSealed
		return &after, nil
	case s.Kind == messages.SectionCopied && log.Stage != messages.StageCopying:
		return nil, ErrMoved
	case s.Kind == messages.SectionCopied:
		after.Stage = messages.StageCopied
		return &after, nil
	case log.Stage == messages.StageSealed && !isAgain(s.Kind):
		return nil, ErrSealed
	case s.Kind == messages.SectionTrimmed:
		return &after, nil
	case log.Last != r.Expected:
		return nil, ErrMoved
	}
	s.Sequence = r.Expected
	if s.Kind == messages.SectionNext {
		s.Sequence++
	} else {
		s.Topic, s.Stage = log.Topic, log.Stage
		if s.Kind = messages.SectionAgain; log.Suspect {
			s.Kind = messages.SectionSuspect // or every reader would take the log to end there for certain
		}
	}
	after.Last, after.Topic, after.Stage = s.Sequence, s.Topic, s.Stage
	return &after, nil
}
