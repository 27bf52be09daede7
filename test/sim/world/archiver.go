package world

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	archiver "laneway.dev/services/archiver/core"
)

// ArchiverCore is the core of an archiver.
type ArchiverCore struct{ core *archiver.Core }

// NewArchiver returns the core of an archiver.
func NewArchiver(settings archiver.Settings) ArchiverCore {
	return ArchiverCore{archiver.NewCore(settings)}
}

// Step implements Core.
func (a ArchiverCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]archiver.Event, 0, len(events))
	for _, e := range events {
		if m, is := e.(*Message); is {
			m.Each(func(m messages.Message) { taken = append(taken, m) })
		} else {
			taken = append(taken, e)
		}
	}
	fx := a.core.Step(now, taken)
	out.Send, out.Jobs = fx.Send, slices.Clone(fx.Start)
	stats := a.core.Stats()
	out.Stats = Stats{Open: stats.Working + stats.Waiting}
}
