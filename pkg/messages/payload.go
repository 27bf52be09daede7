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
		return halves(m, func(m *Stage) *[]StageBatch { return &m.Batches })
	case Refused:
		return halves(m, func(m *Refused) *[]Refusal { return &m.Refusals })
	case Staged:
		return halves(m, func(m *Staged) *[]StagedBatch { return &m.Batches })
	case Advance:
		return halves(m, func(m *Advance) *[]LaneProgress { return &m.Lanes })
	case Missing:
		return halves(m, func(m *Missing) *[]LaneNumbers { return &m.Lanes })
	case Release:
		return halves(m, func(m *Release) *[]StagedBatch { return &m.Batches })
	case ReleaseAgain:
		return halves(m, func(m *ReleaseAgain) *[]LaneNumbers { return &m.Lanes })
	case Outcomes:
		return halves(m, func(m *Outcomes) *[]Outcome { return &m.Outcomes })
	}
	return m, nil, false
}

// halves divides a message by its list.
func halves[M Message, T any](m M, list func(*M) *[]T) (first, second Message, divisible bool) {
	a, b, items := m, m, *list(&m)
	*list(&a), *list(&b) = items[:len(items)/2], items[len(items)/2:]
	return a, b, len(items) > 1
}
