package partition

import "time"

// messageIDs remembers each Nats-Msg-Id that is in flight or was committed within the
// window, with the offset of the first batch that had it. This is JetStream's deduplication
// window, except that an id is never dropped early: a full window rejects new ids.
type messageIDs struct {
	window time.Duration
	most   int // limit on the number of ids
	room   int // limit on the bytes of all ids
	bytes  int // of all ids
	byID   map[string]*firstUse
	order  []idTime // committed ids by the beginnings of their windows
}

// firstUse is the batch that used an id first. Its duplicates keep a pointer to it, because
// they may be answered long after its commit, when the id has expired.
type firstUse struct {
	offset int64     // once it is committed
	at     time.Time // when its window began; zero while it is in flight
}

type idTime struct {
	id string
	at time.Time
}

func newMessageIDs(s Settings) messageIDs {
	return messageIDs{window: s.IDWindow, most: s.MaxIDs, room: s.MaxNameBytes, byID: make(map[string]*firstUse)}
}

func (m *messageIDs) len() int { return len(m.byID) }

func (m *messageIDs) find(id string) (*firstUse, bool) {
	f, known := m.byID[id]
	return f, known
}

// reserve puts an id into flight. It returns nil if the window is full. It does not drop
// another id early instead: a retry with that id would be appended a second time.
func (m *messageIDs) reserve(id string) *firstUse {
	if len(m.byID) >= m.most || m.bytes+len(id) > m.room {
		return nil
	}
	f := &firstUse{}
	m.put(id, f)
	return f
}

func (m *messageIDs) put(id string, f *firstUse) {
	if _, known := m.byID[id]; !known {
		m.bytes += len(id)
	}
	m.byID[id] = f
}

// forget removes an id that is known.
func (m *messageIDs) forget(id string) {
	m.bytes -= len(id)
	delete(m.byID, id)
}

// commit begins the window of an id at the time of its commit.
func (m *messageIDs) commit(id string, f *firstUse, offset int64, at time.Time) {
	f.offset, f.at = offset, at
	m.put(id, f)
	m.order = append(m.order, idTime{id, at})
}

// expire removes the ids whose windows have ended. While a log is read, the clock may be slower than
// that of the earlier owner. An id that this owner had forgotten and committed again is then in order
// twice, and only its last window counts.
func (m *messageIDs) expire(now time.Time) {
	n := 0
	for n < len(m.order) && now.Sub(m.order[n].at) > m.window {
		oldest := m.order[n]
		if f, known := m.byID[oldest.id]; known && f.at.Equal(oldest.at) {
			m.forget(oldest.id)
		}
		n++
	}
	m.order = m.order[n:]
}

// touch begins the windows of all committed ids again.
func (m *messageIDs) touch(now time.Time) {
	keep := m.order[:0]
	for _, o := range m.order {
		if f, known := m.byID[o.id]; known && f.at.Equal(o.at) {
			f.at = now
			keep = append(keep, idTime{o.id, now})
		}
	}
	m.order = keep
}

// rollBack removes the ids in flight.
func (m *messageIDs) rollBack() {
	for id, f := range m.byID {
		if f.at.IsZero() {
			m.forget(id)
		}
	}
}
