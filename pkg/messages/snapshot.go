package messages

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// snapshotVersion is the version of the snapshot. One of the version before, which has no
// Watermark, is read as well. A snapshot of another version is ignored, and the log is read
// instead.
const snapshotVersion = 5

// Snapshot is the state of a partition that results from its log up to a stream
// sequence, so that the next owner need not read that part of the log. It has
// nothing that is in flight.
type Snapshot struct {
	TopicID        uint64
	Incarnation    uint32 // of the log that Sequence belongs to
	Sequence       uint64 // of the last entry that it covers
	NextOffset     int64
	Time           int64 // of the newest entry, in Unix nanoseconds
	LastMessageID  string
	Owner          string // of the log, which has made the snapshot
	OwnerEpoch     uint64 // of the owner in its role
	FrontendEpoch  uint64
	SequencerEpoch uint64
	LanesAbove     uint64 // lanes that are not here start above this ticket number
	Lanes          []SnapshotLane
	MessageIDs     []SnapshotID // in the order of their times
	ProducersAt    int64        // Unix nanoseconds up to which the idle times of producers are counted
	Producers      []SnapshotProducer
	History        History
	Runs           []Run  // the entries after History.End, in their order
	Watermark      uint64 // of the newest entry
}

// SnapshotLane is a lane of the newest frontend epoch.
type SnapshotLane struct {
	Lane    string
	Settled uint64 // the highest number that is committed or refused
	Floor   uint64
	Done    []SnapshotTicket // settled numbers at or above the floor, rising
}

// SnapshotTicket is a ticket whose producer may not have its answer yet.
type SnapshotTicket struct {
	Number    uint64
	Offset    int64
	Duplicate bool
}

// SnapshotID is a message id within its window.
type SnapshotID struct {
	ID     string
	Offset int64
	Time   int64 // Unix nanoseconds
}

// SnapshotProducer is an idempotent producer.
type SnapshotProducer struct {
	ProducerFence
	Idle    time.Duration
	Batches []SnapshotBatch // the last ones, oldest first
}

// SnapshotBatch is a committed batch of a producer.
type SnapshotBatch struct {
	Offset      int64
	First, Last int32 // sequences
}

const snapshotFields = 19

var snapshotSum = crc32.MakeTable(crc32.Castagnoli)

// EncodeSnapshot returns the stored form of s, which ends with its CRC-32C.
func EncodeSnapshot(s Snapshot) []byte {
	const lane, id, producer = 40, 24, 110 // bytes, roughly
	data := codec.Encode(256+lane*len(s.Lanes)+id*len(s.MessageIDs)+producer*len(s.Producers), func(e *codec.Encoder) {
		e.Array(snapshotFields)
		e.Uint(snapshotVersion)
		e.Uint(s.TopicID)
		e.Uint(uint64(s.Incarnation))
		e.Uint(s.Sequence)
		e.Int(s.NextOffset)
		e.Int(s.Time)
		e.Text(s.LastMessageID)
		e.Text(s.Owner)
		e.Uint(s.OwnerEpoch)
		e.Uint(s.FrontendEpoch)
		e.Uint(s.SequencerEpoch)
		e.Uint(s.LanesAbove)
		codec.WriteList(e, s.Lanes, encodeSnapshotLane)
		codec.WriteList(e, s.MessageIDs, encodeSnapshotID)
		e.Int(s.ProducersAt)
		codec.WriteList(e, s.Producers, encodeSnapshotProducer)
		s.History.encode(e)
		codec.WriteList(e, s.Runs, encodeRun)
		e.Uint(s.Watermark)
	})
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, snapshotSum))
}

// DecodeSnapshot reads a stored snapshot. Errors wrap ErrMalformed, also if its
// checksum shows that it is damaged.
func DecodeSnapshot(data []byte) (Snapshot, error) {
	n := len(data) - 4
	if n < 0 {
		return Snapshot{}, fmt.Errorf("%w: a snapshot of %d bytes", protocol.ErrMalformed, len(data))
	}
	if sum := crc32.Checksum(data[:n], snapshotSum); sum != binary.BigEndian.Uint32(data[n:]) {
		return Snapshot{}, fmt.Errorf("%w: the CRC-32C of a snapshot is %08x, should be %08x",
			protocol.ErrMalformed, sum, binary.BigEndian.Uint32(data[n:]))
	}
	d := codec.Acquire(data[:n])
	defer d.Release()
	fields, v := d.Array(), d.Uint()
	switch {
	case d.Err() != nil:
	case v != snapshotVersion && v != snapshotVersion-1:
		d.Fail("snapshot of version %d, this process reads %d and %d", v, snapshotVersion-1, snapshotVersion)
	case fields != snapshotFields-int(snapshotVersion-v):
		d.Fail("snapshot of %d fields", fields)
	}
	s := Snapshot{
		TopicID: d.Uint(), Incarnation: d.Uint32(), Sequence: d.Uint(), NextOffset: d.Natural(), Time: d.Int(), LastMessageID: d.Text(),
		Owner: d.Text(), OwnerEpoch: d.Uint(), FrontendEpoch: d.Uint(), SequencerEpoch: d.Uint(), LanesAbove: d.Uint(),
		Lanes: codec.List(d, decodeSnapshotLane), MessageIDs: codec.List(d, decodeSnapshotID),
		ProducersAt: d.Int(), Producers: codec.List(d, decodeSnapshotProducer),
	}
	if v == snapshotVersion {
		s.History, s.Runs, s.Watermark = decodeHistory(d), codec.List(d, decodeRun), d.Uint()
	} else {
		s.History, s.Runs = decodeShortHistory(d), codec.List(d, decodeShortRun)
	}
	d.End()
	if d.Err() != nil {
		return Snapshot{}, d.Err()
	}
	return s, nil
}

func encodeSnapshotLane(e *codec.Encoder, l *SnapshotLane) {
	e.Array(4)
	e.Text(l.Lane)
	e.Uint(l.Settled)
	e.Uint(l.Floor)
	codec.WriteList(e, l.Done, func(e *codec.Encoder, t *SnapshotTicket) {
		e.Array(3)
		e.Uint(t.Number)
		e.Int(t.Offset)
		e.Bool(t.Duplicate)
	})
}

func decodeSnapshotLane(d *codec.Decoder) SnapshotLane {
	d.Fields(4)
	return SnapshotLane{
		Lane: d.Text(), Settled: d.Uint(), Floor: d.Uint(),
		Done: codec.List(d, func(d *codec.Decoder) SnapshotTicket {
			d.Fields(3)
			return SnapshotTicket{Number: d.Uint(), Offset: d.Natural(), Duplicate: d.Bool()}
		}),
	}
}

func encodeSnapshotID(e *codec.Encoder, i *SnapshotID) {
	e.Array(3)
	e.Text(i.ID)
	e.Int(i.Offset)
	e.Int(i.Time)
}

func decodeSnapshotID(d *codec.Decoder) SnapshotID {
	d.Fields(3)
	return SnapshotID{ID: d.Text(), Offset: d.Natural(), Time: d.Int()}
}

func encodeSnapshotProducer(e *codec.Encoder, p *SnapshotProducer) {
	e.Array(3)
	encodeFence(e, &p.ProducerFence)
	e.Int(int64(p.Idle))
	e.Array(3 * len(p.Batches))
	for _, b := range p.Batches {
		e.Int(b.Offset)
		e.Int(int64(b.First))
		e.Int(int64(b.Last))
	}
}

func decodeSnapshotProducer(d *codec.Decoder) SnapshotProducer {
	d.Fields(3)
	p := SnapshotProducer{ProducerFence: decodeFence(d), Idle: time.Duration(d.Natural())}
	n := d.Array()
	if n%3 != 0 {
		d.Fail("%d numbers are no batches", n)
	}
	if n == 0 || d.Err() != nil {
		return p
	}
	p.Batches = make([]SnapshotBatch, 0, min(n/3, 5))
	for range n / 3 {
		p.Batches = append(p.Batches, SnapshotBatch{Offset: d.Natural(), First: d.Natural32(), Last: d.Natural32()})
		if d.Err() != nil {
			return SnapshotProducer{}
		}
	}
	return p
}
