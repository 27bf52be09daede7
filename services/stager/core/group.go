package core

import "laneway.dev/pkg/protocol"

// groupBytes bounds the payloads of a group; a single larger batch is a group of its own. It also
// bounds the lanes and message ids of the batches, because tiny batches may have long ones. Larger
// groups would hardly compress better, and a consumer of one record would have to read more.
const groupBytes = 256 << 10

// Group lists batches of an object that are compressed together.
type Group struct {
	Codec   protocol.Compression
	Batches []int // indexes into the batches of the object
}

// groupKey is what the batches of a group have in common.
type groupKey struct {
	sender
	codec protocol.Compression
}

// Groups divides the batches that are to be compressed into groups. The batches of a group have
// the same partition and frontend epoch, and are in order of arrival, so that consumers need few
// blocks. Batches that are in no group are stored as they are.
func (o *Object) Groups() []Group {
	var groups []Group
	var open map[groupKey]int // the last group of each key
	var sizes, heads []int
	for i := range o.Batches {
		b := &o.Batches[i]
		if b.Codec == "" {
			continue
		}
		key, size, head := groupKey{b.sender(), b.Codec}, len(b.Payload), len(b.Lane)+len(b.MessageID)
		at, known := open[key]
		if !known || sizes[at]+size > groupBytes || heads[at]+head > groupBytes {
			if open == nil {
				open = make(map[groupKey]int)
			}
			at = len(groups)
			open[key] = at
			groups, sizes, heads = append(groups, Group{Codec: b.Codec}), append(sizes, 0), append(heads, 0)
		}
		groups[at].Batches = append(groups[at].Batches, i)
		sizes[at] += size
		heads[at] += head
	}
	return groups
}
