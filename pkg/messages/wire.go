package messages

import "time"

// version is the version of the internal messages. Services of one deployment
// are upgraded together; another version is refused, never guessed at.
const version = 3

// MaxDeadline bounds the produce deadline of a frontend. A replicator may forget
// a lane only when nothing of it can be unresolved, so both must know the bound.
const MaxDeadline = time.Minute

// kind tells the internal messages apart; several kinds share a subject.
type kind uint64

const (
	kindStage kind = iota + 1
	kindRefused
	kindStaged
	kindAnnounce
	kindAnnounced
	kindAdvance
	kindMissing
	kindFenced
	kindRelease
	kindReleaseAgain
	kindHello
	kindOutcomes
	kindCommitted
	kindFenceProducer
	kindProducerFenced
	kindListProducers
	kindProducers
	kindReadOnly
)

// Message is an internal message. All items of one message concern one
// partition: every actor sends one message per destination per turn.
type Message interface {
	kind() kind
	encode(e *encoder)
	// Of returns the partition that the message concerns.
	Of() Partition
}

// Stage asks any stager to stage batches (frontend to stagers).
type Stage struct {
	Partition Partition
	Epoch     uint64 // frontend epoch
	Batches   []StageBatch
}

// Refused says which batches were not staged (stager to frontend).
type Refused struct {
	Partition Partition
	Epoch     uint64
	Refusals  []Refusal
}

// Staged says which extents hold which tickets (stager to sequencer).
type Staged struct {
	Partition Partition
	Epoch     uint64
	Batches   []StagedBatch
}

// Announce makes a new frontend epoch known before its first ticket (frontend to sequencer).
type Announce struct {
	Partition Partition
	Epoch     uint64
}

// Announced confirms an Announce (sequencer to frontend).
type Announced struct {
	Partition Partition
	Epoch     uint64
}

// Advance is the heartbeat of the lanes of a partition (frontend to sequencer).
type Advance struct {
	Partition Partition
	Epoch     uint64
	Lanes     []LaneProgress
}

// Missing names tickets whose staging has not been heard of (sequencer to frontend).
type Missing struct {
	Partition Partition
	Epoch     uint64
	Lanes     []LaneNumbers
}

// Fenced tells the sender of a message that a newer epoch of its role exists.
type Fenced struct {
	Partition Partition
	Epoch     uint64 // the highest epoch known
}

// Release hands batches to the replicator in ticket order (sequencer to replicator).
type Release struct {
	Partition      Partition
	Epoch          uint64 // frontend epoch of all batches
	SequencerEpoch uint64
	HelloTerm      uint64 // answers the Hello of this term; 0 is none
	Batches        []StagedBatch
}

// ReleaseAgain asks for releases that were lost (replicator to sequencer). The
// only number of a lane is the first one wanted.
type ReleaseAgain struct {
	Partition Partition
	Epoch     uint64
	Lanes     []LaneNumbers
}

// Hello announces a new owner of the log (replicator to sequencer); it is
// repeated until a Release answers it.
type Hello struct {
	Partition Partition
	Term      uint64
}

// Outcomes carries answers about tickets (replicator to frontend).
type Outcomes struct {
	Partition Partition
	Epoch     uint64 // frontend epoch of the tickets
	Outcomes  []Outcome
}

// Committed tells everybody that an entry is in the log (replicator to frontends).
type Committed struct {
	Partition Partition
	Sequence  uint64 // stream sequence of the entry
	Entry     []byte // see Entry
}

// ReadOnly says that the partition takes no records, because its log has lost some
// (replicator to frontends, on the subject of Committed). It is repeated for as long as
// that is so.
type ReadOnly struct {
	Partition Partition
	Damage    string // what is missing, for people
}

func (Stage) kind() kind        { return kindStage }
func (Refused) kind() kind      { return kindRefused }
func (Staged) kind() kind       { return kindStaged }
func (Announce) kind() kind     { return kindAnnounce }
func (Announced) kind() kind    { return kindAnnounced }
func (Advance) kind() kind      { return kindAdvance }
func (Missing) kind() kind      { return kindMissing }
func (Fenced) kind() kind       { return kindFenced }
func (Release) kind() kind      { return kindRelease }
func (ReleaseAgain) kind() kind { return kindReleaseAgain }
func (Hello) kind() kind        { return kindHello }
func (Outcomes) kind() kind     { return kindOutcomes }
func (Committed) kind() kind    { return kindCommitted }
func (ReadOnly) kind() kind     { return kindReadOnly }

// Of returns the partition that the message concerns.
func (m Stage) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Refused) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Staged) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Announce) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Announced) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Advance) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Missing) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Fenced) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Release) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ReleaseAgain) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Hello) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Outcomes) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Committed) Of() Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ReadOnly) Of() Partition { return m.Partition }

func (m Stage) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Batches, encodeStageBatch)
}

func (m Refused) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Refusals, encodeRefusal)
}

func (m Staged) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Batches, encodeStagedBatch)
}

func (m Announce) encode(e *encoder)  { e.uint(m.Epoch) }
func (m Announced) encode(e *encoder) { e.uint(m.Epoch) }

func (m Advance) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Lanes, encodeLaneProgress)
}

func (m Missing) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Lanes, encodeLaneNumbers)
}

func (m Fenced) encode(e *encoder) { e.uint(m.Epoch) }

func (m Release) encode(e *encoder) {
	e.uint(m.Epoch)
	e.uint(m.SequencerEpoch)
	e.uint(m.HelloTerm)
	writeList(e, m.Batches, encodeStagedBatch)
}

func (m ReleaseAgain) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Lanes, encodeLaneNumbers)
}

func (m Hello) encode(e *encoder) { e.uint(m.Term) }

func (m Outcomes) encode(e *encoder) {
	e.uint(m.Epoch)
	writeList(e, m.Outcomes, encodeOutcome)
}

func (m Committed) encode(e *encoder) {
	e.uint(m.Sequence)
	e.bytes(m.Entry)
}

func (m ReadOnly) encode(e *encoder) { e.string(m.Damage) }

// body holds, for each kind, the number of fields and the reader of them.
var body = map[kind]struct {
	fields int
	read   func(*decoder, Partition) Message
}{
	kindStage: {2, func(d *decoder, p Partition) Message {
		return Stage{p, d.uint(), list(d, decodeStageBatch)}
	}},
	kindRefused: {2, func(d *decoder, p Partition) Message {
		return Refused{p, d.uint(), list(d, decodeRefusal)}
	}},
	kindStaged: {2, func(d *decoder, p Partition) Message {
		return Staged{p, d.uint(), list(d, decodeStagedBatch)}
	}},
	kindAnnounce:  {1, func(d *decoder, p Partition) Message { return Announce{p, d.uint()} }},
	kindAnnounced: {1, func(d *decoder, p Partition) Message { return Announced{p, d.uint()} }},
	kindAdvance: {2, func(d *decoder, p Partition) Message {
		return Advance{p, d.uint(), list(d, decodeLaneProgress)}
	}},
	kindMissing: {2, func(d *decoder, p Partition) Message {
		return Missing{p, d.uint(), list(d, decodeLaneNumbers)}
	}},
	kindFenced: {1, func(d *decoder, p Partition) Message { return Fenced{p, d.uint()} }},
	kindRelease: {4, func(d *decoder, p Partition) Message {
		return Release{p, d.uint(), d.uint(), d.uint(), list(d, decodeStagedBatch)}
	}},
	kindReleaseAgain: {2, func(d *decoder, p Partition) Message {
		return ReleaseAgain{p, d.uint(), list(d, decodeLaneNumbers)}
	}},
	kindHello: {1, func(d *decoder, p Partition) Message { return Hello{p, d.uint()} }},
	kindOutcomes: {2, func(d *decoder, p Partition) Message {
		return Outcomes{p, d.uint(), list(d, decodeOutcome)}
	}},
	kindCommitted: {2, func(d *decoder, p Partition) Message { return Committed{p, d.uint(), d.bytes()} }},
	kindReadOnly:  {1, func(d *decoder, p Partition) Message { return ReadOnly{p, d.string()} }},
	kindFenceProducer: {3, func(d *decoder, p Partition) Message {
		return FenceProducer{p, d.uint(), decodeFence(d), d.bool()}
	}},
	kindProducerFenced: {4, func(d *decoder, p Partition) Message {
		return ProducerFenced{p, d.uint(), d.natural16(), d.code(), decodeKnown(d)}
	}},
	kindListProducers: {5, func(d *decoder, p Partition) Message {
		return ListProducers{p, d.uint(), d.uint(), d.natural(), d.natural(), d.uint32()}
	}},
	kindProducers: {5, func(d *decoder, p Partition) Message {
		return Producers{p, d.uint(), d.uint(), d.uint(), d.bool(), list(d, decodeKnown)}
	}},
}

// headerFields are version, kind, topic, topic id, partition and incarnation.
const headerFields = 6

// sizeHint returns about how many bytes a message takes: growing the buffer of a
// large one would copy it several times.
func sizeHint(m Message) int {
	const envelope, item = 128, 64
	hint := envelope
	switch m := m.(type) {
	case Stage:
		for i := range m.Batches {
			b := &m.Batches[i]
			hint += item + len(b.Lane) + len(b.MessageID) + len(b.Trace.Parent) + len(b.Trace.State) + len(b.Payload)
		}
	case Staged:
		hint += stagedSize(m.Batches)
	case Release:
		hint += stagedSize(m.Batches)
	case Committed:
		hint += len(m.Entry)
	}
	return hint
}

func stagedSize(batches []StagedBatch) int {
	const item = 64
	size := 0
	for i := range batches {
		b := &batches[i]
		size += item + len(b.Lane) + len(b.Extent.Key) + len(b.MessageID) + len(b.Trace.Parent) + len(b.Trace.State)
	}
	return size
}

// Encode returns the wire form of m.
func Encode(m Message) []byte {
	return encode(sizeHint(m), func(e *encoder) { encodeMessage(e, m) })
}

// EncodeFor lends the wire form of m to use, which must not keep it.
func EncodeFor(m Message, use func(data []byte)) {
	encodeFor(sizeHint(m), func(e *encoder) { encodeMessage(e, m) }, use)
}

func encodeMessage(e *encoder, m Message) {
	p := m.Of()
	e.array(headerFields + body[m.kind()].fields)
	e.uint(version)
	e.uint(uint64(m.kind()))
	e.string(p.Topic)
	e.uint(p.TopicID)
	e.int(int64(p.Number))
	e.uint(uint64(p.Incarnation))
	m.encode(e)
}

// Decode reads an internal message. The result aliases data. Errors wrap
// ErrMalformed.
func Decode(data []byte) (Message, error) {
	d := acquireDecoder(data)
	defer d.release()
	n := d.array()
	if v := d.uint(); d.err == nil && v != version {
		d.fail("version %d, this process speaks %d", v, version)
	}
	k := kind(d.uint())
	p := Partition{Topic: d.string(), TopicID: d.uint(), Number: d.int32(), Incarnation: d.uint32()}
	b, known := body[k]
	switch {
	case d.err != nil:
	case !known:
		d.fail("unknown kind %d", k)
	case n != headerFields+b.fields:
		d.fail("%d fields for kind %d, expected %d", n, k, headerFields+b.fields)
	}
	if d.err != nil {
		return nil, d.err
	}
	m := b.read(d, p)
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}
