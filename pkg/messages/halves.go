package messages

// Halves divides a message that is larger than NATS' max_payload into two, which have
// the same items in the same order. divisible is false if m cannot be divided.
func Halves(m Message) (first, second Message, divisible bool) {
	switch m := m.(type) {
	case Stage:
		return halves(m, func(m *Stage) *[]StageBatch { return &m.Batches })
	case Refused:
		return halves(m, func(m *Refused) *[]Refusal { return &m.Refusals })
	case Holding:
		return halves(m, func(m *Holding) *[]Held { return &m.Held })
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
	case Outdated:
		return halves(m, func(m *Outdated) *[]OutdatedResult { return &m.Results })
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
