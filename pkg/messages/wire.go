package messages

import (
	"fmt"
	"time"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// version is the version of the internal messages. Services of one deployment
// are upgraded together, so messages of any other version are rejected.
const version = 12

// MaxDeadline bounds the produce deadline of a frontend. A replicator may forget
// a lane only when all of its tickets are resolved, so it must know the bound.
const MaxDeadline = time.Minute

// ReportInterval is how often a stager announces that it is alive, and reports the batches
// that it has held for at least as long.
const ReportInterval = 500 * time.Millisecond

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
	kindHolding
	kindArchive
	kindArchived
	kindArchiving
	kindArchiveFailed
	kindCongested
	kindOutdated
	kindTruncate
	kindTruncated
	kindBegan
)

// Message is an internal message. All items of one message concern one
// partition. The messages of one turn to one destination travel together, in a
// parcel.
type Message interface {
	kind() kind
	encode(e *codec.Encoder)
	// Of returns the partition that the message concerns.
	Of() protocol.Partition
}

// Envelope is a message with the subject to which the shell sends it. Cores return
// envelopes as effects.
type Envelope struct {
	Subject string
	Message Message
}

// Stage asks any stager, or one by its name, to stage batches (frontend to stagers).
type Stage struct {
	Partition protocol.Partition
	Epoch     uint64 // frontend epoch
	// Codec is the one with which the stager compresses plain frames; empty if it does not.
	Codec   protocol.Compression
	Batches []StageBatch
}

// Refused reports which batches were not staged, and why (stager to frontend).
type Refused struct {
	Partition protocol.Partition
	Epoch     uint64
	Stager    string // name of the sender
	Refusals  []Refusal
}

// Holding names the batches that a stager has held for a while and not reported yet (stager
// to frontend). It is repeated as long as the stager holds them, so that a frontend can tell
// a slow store from a lost batch.
type Holding struct {
	Partition protocol.Partition
	Epoch     uint64
	Stager    string // name of the sender
	Held      []Held
}

// Staged reports batches that are in the object store, with their extents, and inline batches
// (stager to sequencer).
type Staged struct {
	Partition protocol.Partition
	Epoch     uint64
	Batches   []StagedBatch
}

// Announce makes a new frontend epoch known before its first ticket (frontend to sequencer).
type Announce struct {
	Partition protocol.Partition
	Epoch     uint64
}

// Announced confirms an Announce (sequencer to frontend).
type Announced struct {
	Partition protocol.Partition
	Epoch     uint64
}

// Advance is the heartbeat of the lanes of a partition (frontend to sequencer).
type Advance struct {
	Partition protocol.Partition
	Epoch     uint64
	Lanes     []LaneProgress
}

// Missing names issued tickets without a Staged so far (sequencer to frontend).
type Missing struct {
	Partition protocol.Partition
	Epoch     uint64
	Lanes     []LaneNumbers
}

// Fenced tells the sender of a message that a newer epoch of its role exists.
type Fenced struct {
	Partition protocol.Partition
	Epoch     uint64 // the highest epoch known
}

// Release hands batches to the replicator in ticket order (sequencer to replicator).
type Release struct {
	Partition      protocol.Partition
	Epoch          uint64 // frontend epoch of all batches
	SequencerEpoch uint64
	HelloTerm      uint64 // answers the Hello of this term; 0 is none
	Batches        []StagedBatch
}

// ReleaseAgain asks for releases that were lost (replicator to sequencer). The
// only number of a lane is the first one wanted.
type ReleaseAgain struct {
	Partition protocol.Partition
	Epoch     uint64
	Lanes     []LaneNumbers
}

// Hello announces a new owner of the log (replicator to sequencer); it is
// repeated until a Release answers it.
type Hello struct {
	Partition protocol.Partition
	Term      uint64
}

// Began says that a sequencer has begun to serve a log in an epoch (on the subject of the log, to whoever had the
// log before). Of its partition, only Log has a meaning.
type Began struct {
	Partition protocol.Partition
	Epoch     uint64 // sequencer epoch
}

// Outcomes carries answers about tickets (replicator to frontend).
type Outcomes struct {
	Partition protocol.Partition
	Epoch     uint64 // frontend epoch of the tickets
	Outcomes  []Outcome
}

// Committed reports that an entry is in the log (replicator to all frontends).
type Committed struct {
	Partition protocol.Partition
	Sequence  uint64 // sequence of the entry
	Entry     []byte // see Entry
}

// ReadOnly reports that the partition accepts no records, because its log or its mark is
// damaged, its log is sealed or does not exist (replicator to frontends, on the subject of Committed). It is
// repeated as long as the partition is read-only.
type ReadOnly struct {
	Partition protocol.Partition
	Damage    string // what is wrong, for people
	Unbegun   bool   // nothing shows that the log ever had an entry: its topic may be under creation
}

// Err returns the error for requests: PARTITION_DAMAGED, or UNAVAILABLE for a log that may begin yet.
func (m ReadOnly) Err() *protocol.Error {
	code := protocol.CodePartitionDamaged
	if m.Unbegun {
		code = protocol.CodeUnavailable
	}
	return protocol.Errorf(code, "partition %s: %s", m.Partition, m.Damage)
}

// Congested reports that the partition takes no new requests, because too much of its log is
// not archived (replicator to frontends, on the subject of Committed). It is repeated every
// heartbeat as long as that lasts. Batches that have a ticket are still committed.
type Congested struct {
	Partition protocol.Partition
	Reason    string // for people
}

// Outdated names staged batches that the log refuses, because their objects are older than its
// watermark, and may have been deleted (replicator to sequencer). It is no verdict about the
// tickets: the sequencer forgets these results, and has the batches staged again.
type Outdated struct {
	Partition protocol.Partition
	Epoch     uint64 // frontend epoch of the tickets
	Results   []OutdatedResult
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
func (Holding) kind() kind      { return kindHolding }
func (Congested) kind() kind    { return kindCongested }
func (Outdated) kind() kind     { return kindOutdated }
func (Began) kind() kind        { return kindBegan }

// Of returns the partition that the message concerns.
func (m Stage) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Refused) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Holding) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Staged) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Announce) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Announced) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Advance) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Missing) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Fenced) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Release) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ReleaseAgain) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Hello) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Outcomes) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Committed) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ReadOnly) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Congested) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Outdated) Of() protocol.Partition { return m.Partition }

// Of returns a partition of which only Log has a meaning.
func (m Began) Of() protocol.Partition { return m.Partition }

func (m Stage) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	e.Text(string(m.Codec))
	codec.WriteList(e, m.Batches, encodeStageBatch)
}

func (m Refused) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	e.Text(m.Stager)
	codec.WriteList(e, m.Refusals, encodeRefusal)
}

func (m Holding) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	e.Text(m.Stager)
	codec.WriteList(e, m.Held, encodeHeld)
}

func (m Staged) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Batches, encodeStagedBatch)
}

func (m Announce) encode(e *codec.Encoder)  { e.Uint(m.Epoch) }
func (m Announced) encode(e *codec.Encoder) { e.Uint(m.Epoch) }

func (m Advance) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Lanes, encodeLaneProgress)
}

func (m Missing) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Lanes, encodeLaneNumbers)
}

func (m Fenced) encode(e *codec.Encoder) { e.Uint(m.Epoch) }

func (m Release) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	e.Uint(m.SequencerEpoch)
	e.Uint(m.HelloTerm)
	codec.WriteList(e, m.Batches, encodeStagedBatch)
}

func (m ReleaseAgain) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Lanes, encodeLaneNumbers)
}

func (m Hello) encode(e *codec.Encoder) { e.Uint(m.Term) }
func (m Began) encode(e *codec.Encoder) { e.Uint(m.Epoch) }

func (m Outcomes) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Outcomes, encodeOutcome)
}

func (m Committed) encode(e *codec.Encoder) {
	e.Uint(m.Sequence)
	e.Bytes(m.Entry)
}

func (m ReadOnly) encode(e *codec.Encoder) { e.Text(m.Damage); e.Bool(m.Unbegun) }

func (m Congested) encode(e *codec.Encoder) { e.Text(m.Reason) }

func (m Outdated) encode(e *codec.Encoder) {
	e.Uint(m.Epoch)
	codec.WriteList(e, m.Results, encodeOutdatedResult)
}

// body holds, for each kind, the number of fields and the reader of them.
var body = map[kind]struct {
	fields int
	read   func(*codec.Decoder, protocol.Partition) Message
}{
	kindStage: {3, func(d *codec.Decoder, p protocol.Partition) Message {
		return Stage{p, d.Uint(), decodeOptionalCodec(d), codec.List(d, decodeStageBatch)}
	}},
	kindRefused: {3, func(d *codec.Decoder, p protocol.Partition) Message {
		return Refused{p, d.Uint(), d.Text(), codec.List(d, decodeRefusal)}
	}},
	kindHolding: {3, func(d *codec.Decoder, p protocol.Partition) Message {
		return Holding{p, d.Uint(), d.Text(), codec.List(d, decodeHeld)}
	}},
	kindStaged: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return Staged{p, d.Uint(), codec.List(d, decodeStagedBatch)}
	}},
	kindAnnounce:  {1, func(d *codec.Decoder, p protocol.Partition) Message { return Announce{p, d.Uint()} }},
	kindAnnounced: {1, func(d *codec.Decoder, p protocol.Partition) Message { return Announced{p, d.Uint()} }},
	kindAdvance: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return Advance{p, d.Uint(), codec.List(d, decodeLaneProgress)}
	}},
	kindMissing: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return Missing{p, d.Uint(), codec.List(d, decodeLaneNumbers)}
	}},
	kindFenced: {1, func(d *codec.Decoder, p protocol.Partition) Message { return Fenced{p, d.Uint()} }},
	kindRelease: {4, func(d *codec.Decoder, p protocol.Partition) Message {
		return Release{p, d.Uint(), d.Uint(), d.Uint(), codec.List(d, decodeStagedBatch)}
	}},
	kindReleaseAgain: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return ReleaseAgain{p, d.Uint(), codec.List(d, decodeLaneNumbers)}
	}},
	kindHello: {1, func(d *codec.Decoder, p protocol.Partition) Message { return Hello{p, d.Uint()} }},
	kindBegan: {1, func(d *codec.Decoder, p protocol.Partition) Message { return Began{p, d.Uint()} }},
	kindOutcomes: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return Outcomes{p, d.Uint(), codec.List(d, decodeOutcome)}
	}},
	kindCommitted: {2, func(d *codec.Decoder, p protocol.Partition) Message { return Committed{p, d.Uint(), d.Bytes()} }},
	kindReadOnly:  {2, func(d *codec.Decoder, p protocol.Partition) Message { return ReadOnly{p, d.Text(), d.Bool()} }},
	kindCongested: {1, func(d *codec.Decoder, p protocol.Partition) Message { return Congested{p, d.Text()} }},
	kindFenceProducer: {3, func(d *codec.Decoder, p protocol.Partition) Message {
		return FenceProducer{p, d.Uint(), decodeFence(d), d.Bool()}
	}},
	kindProducerFenced: {4, func(d *codec.Decoder, p protocol.Partition) Message {
		return ProducerFenced{p, d.Uint(), d.Natural16(), protocol.Code(d.Uint16()), decodeKnown(d)}
	}},
	kindListProducers: {5, func(d *codec.Decoder, p protocol.Partition) Message {
		return ListProducers{p, d.Uint(), d.Uint(), d.Natural(), d.Natural(), d.Uint32()}
	}},
	kindProducers: {5, func(d *codec.Decoder, p protocol.Partition) Message {
		return Producers{p, d.Uint(), d.Uint(), d.Uint(), d.Bool(), codec.List(d, decodeKnown)}
	}},
	kindOutdated: {2, func(d *codec.Decoder, p protocol.Partition) Message {
		return Outdated{p, d.Uint(), codec.List(d, decodeOutdatedResult)}
	}},
	kindArchive: {8, func(d *codec.Decoder, p protocol.Partition) Message {
		return Archive{p, decodeHistory(d), decodePosition(d), decodeOptionalCodec(d), d.Bool(), d.Uint(), decodeRetention(d), decodeKept(d)}
	}},
	kindArchived: {7, func(d *codec.Decoder, p protocol.Partition) Message {
		return Archived{p, d.Text(), decodeHistory(d), d.Natural(), d.Natural(), d.Natural(), d.Uint(), decodeRetention(d)}
	}},
	kindTruncate: {3, func(d *codec.Decoder, p protocol.Partition) Message {
		return Truncate{p, d.Uint(), d.Uint(), d.Natural()}
	}},
	kindTruncated: {5, func(d *codec.Decoder, p protocol.Partition) Message {
		return Truncated{p, d.Uint(), d.Uint(), d.Natural(), protocol.Code(d.Uint16()), d.Text()}
	}},
	kindArchiving:     {1, func(d *codec.Decoder, p protocol.Partition) Message { return Archiving{p, d.Text()} }},
	kindArchiveFailed: {2, func(d *codec.Decoder, p protocol.Partition) Message { return ArchiveFailed{p, d.Text(), d.Text()} }},
}

// headerFields are version, kind, topic, topic id, partition, incarnation and log.
const headerFields = 7

// sizeHint returns the approximate encoded size of a message. Without it, the buffer
// of a large message would grow step by step, and be copied each time.
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
	case Advance:
		hint += item * len(m.Lanes)
	case Missing:
		hint += item * len(m.Lanes)
	case Outcomes:
		hint += item * len(m.Outcomes)
	case Holding:
		hint += item * len(m.Held)
	case Refused:
		hint += item * len(m.Refusals)
	}
	return hint
}

func stagedSize(batches []StagedBatch) int {
	const item = 64
	size := 0
	for i := range batches {
		b := &batches[i]
		size += item + len(b.Lane) + len(b.Extent.Key) + len(b.Inline) + len(b.MessageID) + len(b.Trace.Parent) + len(b.Trace.State)
	}
	return size
}

// Encode returns the wire form of m.
func Encode(m Message) []byte {
	return codec.Encode(sizeHint(m), func(e *codec.Encoder) { encodeMessage(e, m) })
}

// EncodeFor lends the wire form of m to use, which must not keep it.
func EncodeFor(m Message, use func(data []byte)) {
	codec.EncodeFor(sizeHint(m), func(e *codec.Encoder) { encodeMessage(e, m) }, use)
}

func encodeMessage(e *codec.Encoder, m Message) {
	p := m.Of()
	e.Array(headerFields + body[m.kind()].fields)
	e.Uint(version)
	e.Uint(uint64(m.kind()))
	e.Text(p.Topic)
	e.Uint(p.TopicID)
	e.Int(int64(p.Number))
	e.Uint(uint64(p.Incarnation))
	e.Uint(uint64(p.Log))
	m.encode(e)
}

// Decode reads an internal message. The result aliases data. Errors wrap
// ErrMalformed.
func Decode(data []byte) (Message, error) {
	m, rest, err := decodeFirst(data)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: byte %d: %d bytes after the end", protocol.ErrMalformed, len(data)-len(rest), len(rest))
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// decodeFirst reads the message that data begins with, and returns what follows it.
func decodeFirst(data []byte) (m Message, rest []byte, err error) {
	d := codec.Acquire(data)
	defer d.Release()
	n := d.Array()
	if v := d.Uint(); d.Err() == nil && v != version {
		d.Fail("version %d, this process speaks %d", v, version)
	}
	k := kind(d.Uint())
	p := protocol.Partition{Topic: d.Text(), TopicID: d.Uint(), Number: d.Int32(), Incarnation: d.Uint32(), Log: d.Uint16()}
	b, known := body[k]
	switch {
	case d.Err() != nil:
	case !known:
		d.Fail("unknown kind %d", k)
	case n != headerFields+b.fields:
		d.Fail("%d fields for kind %d, expected %d", n, k, headerFields+b.fields)
	}
	if d.Err() != nil {
		return nil, nil, d.Err()
	}
	m = b.read(d, p)
	if d.Err() != nil {
		return nil, nil, d.Err()
	}
	return m, d.Rest(), nil
}
