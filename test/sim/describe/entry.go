package describe

import (
	"fmt"
	"strings"

	"laneway.dev/pkg/messages"
)

// Entry returns an entry of the log in one line.
func Entry(e *messages.Entry) string {
	if !e.History.Archived() {
		return content(e)
	}
	return fmt.Sprintf("%s; archived up to entry %d", content(e), e.History.End.Sequence)
}

// content returns what an entry has beside the history.
func content(e *messages.Entry) string {
	by := fmt.Sprintf("frontend epoch %d, sequencer epoch %d", e.Epoch, e.SequencerEpoch)
	var parts []string
	if n := e.Records(); n > 0 {
		parts = append(parts, fmt.Sprintf("offsets %d to %d, %s: %s", e.BaseOffset, e.BaseOffset+n-1, by,
			tickets(e.Batches, func(b *messages.Placeholder) ticket { return ticket{b.Lane, b.Number, b.Floor} })))
	}
	if len(e.Fences) > 0 {
		parts = append(parts, "fences "+join(e.Fences, loggedFence))
	}
	if len(e.Refused) > 0 {
		parts = append(parts, "refused forever "+join(e.Refused, numbers))
	}
	switch {
	case e.Owner != "":
		return fmt.Sprintf("term record of %s, epoch %d", e.Owner, e.OwnerEpoch)
	case len(parts) == 0:
		return "barrier"
	default:
		return strings.Join(parts, "; ")
	}
}

func loggedFence(f messages.LoggedFence) string {
	if f.Continues == 0 {
		return fence(f.ProducerFence)
	}
	return fmt.Sprintf("%s, continues producer %d", fence(f.ProducerFence), f.Continues)
}
