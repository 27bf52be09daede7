package core

import "laneway.dev/pkg/protocol"

// Rejection is an error with its encoded answer. It is encoded once, because the same answer
// is sent very often under overload.
type Rejection struct {
	Err    *protocol.Error
	Answer []byte
}

// NewRejection returns the rejection of an error.
func NewRejection(err *protocol.Error) *Rejection {
	return &Rejection{err, protocol.EncodeErrorResponse(err)}
}
