package world

import (
	"time"

	stager "laneway.dev/services/stager/core"
)

// StagerCore is the core of a stager.
type StagerCore struct{ core *stager.Core }

// NewStager returns the core of a stager.
func NewStager(settings stager.Settings) StagerCore { return StagerCore{stager.NewCore(settings)} }

// Step implements Core.
func (s StagerCore) Step(now time.Time, events []Event) *Output {
	taken := make([]stager.Event, len(events))
	for i, e := range events {
		if m, is := e.(*Message); is {
			taken[i] = m.Decode()
		} else {
			taken[i] = e
		}
	}
	fx := s.core.Step(now, taken)
	return &Output{Send: fx.Send, Work: Work{Uploads: fx.Uploads, Stats: Stats{Open: int(s.core.Stats().Held)}}}
}
