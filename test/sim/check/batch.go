package check

import (
	"encoding/binary"
	"fmt"

	"laneway.dev/pkg/protocol"
)

// Batch identifies a batch: its records are those of a client's source from First on. The
// payload of a batch encodes its Batch.
type Batch struct {
	Client  int
	First   int // of the records of the source, from 0
	Records int
}

func (b Batch) String() string {
	return fmt.Sprintf("records %d to %d of client %d", b.First, b.First+b.Records-1, b.Client)
}

// Payload returns a batch frame with the records. The value of each record identifies it, as
// a batch of one record.
func (b Batch) Payload() []byte {
	var frame protocol.FrameBuilder
	var value [12]byte
	for n := range b.Records {
		frame.Append(protocol.Record{Value: Batch{b.Client, b.First + n, 1}.appendTo(value[:0])})
	}
	return frame.Bytes()
}

func (b Batch) appendTo(value []byte) []byte {
	value = binary.BigEndian.AppendUint32(value, uint32(b.Client))
	value = binary.BigEndian.AppendUint32(value, uint32(b.First))
	return binary.BigEndian.AppendUint32(value, uint32(b.Records))
}

// ReadRecord returns the name that the value of a record holds.
func ReadRecord(value []byte) Batch {
	if len(value) != 12 {
		return Batch{Client: -1}
	}
	at := func(i int) int { return int(binary.BigEndian.Uint32(value[4*i:])) }
	return Batch{at(0), at(1), at(2)}
}

// ReadBatch returns the name that a frame holds. That of another frame has the client -1.
func ReadBatch(frame []byte) Batch {
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		return Batch{Client: -1}
	}
	defer r.Close()
	record, _ := r.Next()
	b := ReadRecord(record.Value)
	b.Records = r.Records()
	return b
}
