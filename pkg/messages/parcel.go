package messages

import (
	"fmt"

	"laneway.dev/pkg/internal/codec"
)

// parcelBytes is about how many bytes the messages of a parcel may take together. A message
// above it has a parcel of its own. Several stagers then share a burst, and the parcel stays
// far below NATS' usual max_payload.
const parcelBytes = 1 << 20

// Parcel returns the first of the messages that travel together in one parcel: one at least. A
// parcel has the wire forms of its messages, one behind the other.
func Parcel(all []Message) []Message {
	size := sizeHint(all[0])
	for i := 1; i < len(all); i++ {
		if size += sizeHint(all[i]); size > parcelBytes {
			return all[:i]
		}
	}
	return all
}

// EncodeParcelFor lends a parcel to use, which must not keep it. ends has the place where each
// message ends, so that the parcel can be cut between two of them.
func EncodeParcelFor(parcel []Message, use func(data []byte, ends []int)) {
	size := 0
	for _, m := range parcel {
		size += sizeHint(m)
	}
	ends := make([]int, len(parcel))
	write := func(e *codec.Encoder) {
		for i, m := range parcel {
			encodeMessage(e, m)
			ends[i] = e.Len()
		}
	}
	codec.EncodeFor(size, write, func(data []byte) { use(data, ends) })
}

// DecodeParcel reads a parcel, and passes its messages to handle in their order. They alias
// data. If one of them cannot be read, none is passed. Errors wrap ErrMalformed.
func DecodeParcel(data []byte, handle func(Message)) error {
	first, rest, err := decodeFirst(data)
	if err != nil {
		return err
	}
	var others []Message
	for len(rest) > 0 {
		var m Message
		if m, rest, err = decodeFirst(rest); err != nil {
			return fmt.Errorf("message %d of the parcel: %w", len(others)+2, err)
		}
		others = append(others, m)
	}
	handle(first)
	for _, m := range others {
		handle(m)
	}
	return nil
}
