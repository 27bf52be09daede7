package messages

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

// Halves returns two messages that together say what m says, in the same order, for
// when m is larger than NATS carries. It reports false for one that cannot be divided.
func Halves(m Message) (first, second Message, divisible bool) {
	switch m := m.(type) {
	case Stage:
		a, b := m, m
		a.Batches, b.Batches = halve(m.Batches)
		return a, b, len(m.Batches) > 1
	case Refused:
		a, b := m, m
		a.Refusals, b.Refusals = halve(m.Refusals)
		return a, b, len(m.Refusals) > 1
	case Staged:
		a, b := m, m
		a.Batches, b.Batches = halve(m.Batches)
		return a, b, len(m.Batches) > 1
	case Advance:
		a, b := m, m
		a.Lanes, b.Lanes = halve(m.Lanes)
		return a, b, len(m.Lanes) > 1
	case Missing:
		a, b := m, m
		a.Lanes, b.Lanes = halve(m.Lanes)
		return a, b, len(m.Lanes) > 1
	case Release:
		a, b := m, m
		a.Batches, b.Batches = halve(m.Batches)
		return a, b, len(m.Batches) > 1
	case ReleaseAgain:
		a, b := m, m
		a.Lanes, b.Lanes = halve(m.Lanes)
		return a, b, len(m.Lanes) > 1
	case Outcomes:
		a, b := m, m
		a.Outcomes, b.Outcomes = halve(m.Outcomes)
		return a, b, len(m.Outcomes) > 1
	}
	return m, nil, false
}

func halve[T any](items []T) (first, second []T) {
	return items[:len(items)/2], items[len(items)/2:]
}
