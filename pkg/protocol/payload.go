package protocol

const (
	// MinMaxPayload is the least max_payload of NATS, in bytes, with which the services
	// work: an entry of a log and a piece of a snapshot have up to half a MiB.
	MinMaxPayload = 1_000_000
	// recordRoom is what a record leaves of NATS' max_payload: room for the frame that
	// it is wrapped into, with all its headers, and for the envelope of a batch.
	recordRoom = 2 * EnvelopeRoom
)

// FitPayload returns the configuration of a topic whose records NATS can carry. A
// default for the size of records is lowered if need be; a size that was asked for
// and does not fit is an error.
func (c TopicConfig) FitPayload(maxPayload int64) (TopicConfig, error) {
	limit := maxPayload - recordRoom
	switch {
	case c.MaxRecordBytes == 0:
		c.MaxRecordBytes = int(min(DefaultMaxRecordBytes, limit))
	case c.MaxRecordBytes <= MaxRecordBytesLimit && int64(c.MaxRecordBytes) > limit:
		return c, Errorf(CodeMaxPayload, "max_record_bytes is %d; with a max_payload of %d it may be %d", c.MaxRecordBytes, maxPayload, limit)
	}
	return c, nil
}
