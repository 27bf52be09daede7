package core

import "laneway.dev/pkg/protocol"

// Rejection is an error with the answer that reports it, encoded once: under overload the
// same answer is sent very often.
type Rejection struct {
	Err    *protocol.Error
	Answer []byte
}

// NewRejection returns the rejection of an error.
func NewRejection(err *protocol.Error) *Rejection {
	return &Rejection{err, protocol.EncodeErrorResponse(err)}
}
