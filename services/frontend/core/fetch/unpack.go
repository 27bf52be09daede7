package fetch

import (
	"slices"

	"laneway.dev/pkg/protocol"
)

// maxGrowth bounds the planned growth of a batch. A consumer without credit then reads little
// again, and one whose batches hardly grow still gets several with each Load.
const maxGrowth = 16

// unpacks reports whether batches of a codec are decompressed for the consumer. Single records
// are never sent compressed.
func (r *Request) unpacks(c protocol.Compression) bool {
	return c != protocol.CompressionNone && (!r.Frames || !slices.Contains(r.Accept, c))
}

// mayUnpack reports whether there is a codec that the consumer does not accept.
func (r *Request) mayUnpack() bool {
	return slices.ContainsFunc(protocol.Compressions(), r.unpacks)
}

// unpack decides whether the next batch, which is compressed and is sent in plain form, is
// sent now. Only its payload says how long that form is, so the credit and the limits were
// planned with an estimate. Without this check, a few batches could exceed them many times.
func (c *Core) unpack(head protocol.FrameHead, length int) bool {
	c.growth = min(max(int64(head.Bytes/length), 1), maxGrowth)
	switch {
	case c.request.Paced() && !c.pace.mayReceive():
		c.payloads, c.loaded = nil, 0 // loaded again when there is credit
		return false
	case c.request.Frames && c.request.MaxBytes > 0 && c.messages > 0 && c.bytes+int64(head.Bytes) > c.request.MaxBytes:
		c.full = true
		return false
	}
	c.unpacked += head.Bytes
	return true
}
