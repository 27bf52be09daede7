package sim

import (
	"encoding/binary"

	"laneway.dev/pkg/protocol"
)

// batchKey names what a batch holds: records of a client's source, which begin
// with the first one.
type batchKey struct {
	client  int
	first   int // of the records of the source, from 0
	records int
}

// payload returns a batch frame that holds the key.
func (k batchKey) payload() []byte {
	value := binary.BigEndian.AppendUint32(nil, uint32(k.client))
	value = binary.BigEndian.AppendUint32(value, uint32(k.first))
	value = binary.BigEndian.AppendUint32(value, uint32(k.records))
	return protocol.EncodeRecord(protocol.Record{Value: value})
}

func readKey(frame []byte) batchKey {
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		return batchKey{client: -1}
	}
	defer r.Close()
	record, _ := r.Next()
	if len(record.Value) != 12 {
		return batchKey{client: -1}
	}
	at := func(i int) int { return int(binary.BigEndian.Uint32(record.Value[4*i:])) }
	return batchKey{at(0), at(1), at(2)}
}
