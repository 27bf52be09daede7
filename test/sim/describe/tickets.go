package describe

import (
	"fmt"
	"strings"

	"laneway.dev/pkg/messages"
)

type ticket struct {
	lane          string
	number, floor uint64
}

func staged(batches []messages.StagedBatch) string {
	return tickets(batches, func(b *messages.StagedBatch) ticket { return ticket{b.Lane, b.Number, b.Floor} })
}

// tickets returns the tickets of batches, in their order. Consecutive tickets of the
// same lane and floor are grouped, and both are written once.
func tickets[T any](batches []T, of func(*T) ticket) string {
	var text strings.Builder
	for i := range batches {
		t := of(&batches[i])
		switch {
		case i == 0:
			fmt.Fprintf(&text, "%s ticket %d", t.lane, t.number)
		case of(&batches[i-1]).lane != t.lane || of(&batches[i-1]).floor != t.floor:
			fmt.Fprintf(&text, "; %s ticket %d", t.lane, t.number)
		default:
			fmt.Fprintf(&text, ", %d", t.number)
		}
		if i == len(batches)-1 || of(&batches[i+1]).lane != t.lane || of(&batches[i+1]).floor != t.floor {
			fmt.Fprintf(&text, " (floor %d)", t.floor)
		}
	}
	return text.String()
}

func numbers(l messages.LaneNumbers) string {
	all := strings.ReplaceAll(strings.Trim(fmt.Sprint(l.Numbers), "[]"), " ", ", ")
	return fmt.Sprintf("%s ticket %s", l.Lane, all)
}
