package check

import (
	"encoding/binary"
	"fmt"

	"laneway.dev/pkg/protocol"
)

// Batch names what a batch holds: records of a client's source, which start with First. The
// payload of a batch carries its name.
type Batch struct {
	Client  int
	First   int // of the records of the source, from 0
	Records int
}

func (b Batch) String() string {
	return fmt.Sprintf("records %d to %d of client %d", b.First, b.First+b.Records-1, b.Client)
}

// Payload returns a batch frame that holds the name.
func (b Batch) Payload() []byte {
	value := binary.BigEndian.AppendUint32(nil, uint32(b.Client))
	value = binary.BigEndian.AppendUint32(value, uint32(b.First))
	value = binary.BigEndian.AppendUint32(value, uint32(b.Records))
	return protocol.EncodeRecord(protocol.Record{Value: value})
}

// ReadBatch returns the name that a frame holds. That of another frame has the client -1.
func ReadBatch(frame []byte) Batch {
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		return Batch{Client: -1}
	}
	defer r.Close()
	record, _ := r.Next()
	if len(record.Value) != 12 {
		return Batch{Client: -1}
	}
	at := func(i int) int { return int(binary.BigEndian.Uint32(record.Value[4*i:])) }
	return Batch{at(0), at(1), at(2)}
}
