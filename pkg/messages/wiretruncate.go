package messages

import (
	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// Truncate asks for the records below an offset to be dropped (frontend to replicator). It is
// repeated until Truncated answers it.
type Truncate struct {
	Partition protocol.Partition
	Asker     uint64 // where the answer goes, see AskerSubject
	Request   uint64 // names the request in the answer
	Before    int64
}

// Truncated reports that the records are dropped, or why the request was refused (replicator to
// frontend).
type Truncated struct {
	Partition protocol.Partition
	Asker     uint64 // as in the request
	Request   uint64
	Start     int64 // log start offset
	Code      protocol.Code
	Detail    string
}

func (Truncate) kind() kind  { return kindTruncate }
func (Truncated) kind() kind { return kindTruncated }

// Of returns the partition that the message concerns.
func (m Truncate) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Truncated) Of() protocol.Partition { return m.Partition }

func (m Truncate) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	e.Uint(m.Request)
	e.Int(m.Before)
}

func (m Truncated) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	e.Uint(m.Request)
	e.Int(m.Start)
	e.Uint(uint64(m.Code))
	e.Text(m.Detail)
}
