package core

import (
	"laneway.dev/pkg/messages"
)

// inlineBytes bounds the payloads of inline batches that a core holds. That is some seconds of what
// frontends allow to be inline.
const inlineBytes = 4 << 20

// inline counts the payloads that a core holds. Lanes drop results when floors rise, so the held
// ones are counted again every heartbeat, and those that have arrived since are added.
type inline struct{ bytes int }

// admit reports whether there is memory for a result, and counts it if there is. A result that is
// not admitted is as good as lost: the heartbeat reports it as missing, and the frontend has the
// batch staged again, and not inline that time.
func (n *inline) admit(b *messages.StagedBatch) bool {
	if size := len(b.Inline); size > 0 {
		if n.bytes+size > inlineBytes {
			return false
		}
		n.bytes += size
	}
	return true
}

func (n *inline) count(lane *lane) {
	for b := range lane.Results() {
		n.bytes += len(b.Inline)
	}
}

// repeats says how releases are repeated.
type repeats bool

const (
	// withheld leaves out the payloads of inline batches. Usually the replicator has them, and the
	// append takes long. If it does not, it asks with ReleaseAgain.
	withheld repeats = false
	whole    repeats = true
)

// withhold leaves out the payload of an inline batch.
func withhold(b *messages.StagedBatch) {
	if len(b.Inline) > 0 {
		b.Inline, b.Withheld = nil, true
	}
}
