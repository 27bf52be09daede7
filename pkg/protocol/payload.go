package protocol

const (
	// MinMaxPayload is the lowest max_payload of NATS, in bytes, with which the services
	// work: an entry of a log and a part of a snapshot have up to half a MiB.
	MinMaxPayload = 1_000_000
	// recordRoom is the part of NATS' max_payload that a record leaves to its headers, to
	// the rest of the frame, and to the envelope of a batch.
	recordRoom = 2 * EnvelopeRoom
)

// FitPayload returns the configuration with a record size that fits into NATS'
// max_payload. The default is lowered if necessary. A size that a user has chosen is not
// changed: if it does not fit, the result is an error.
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
