package messages

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// snapshotVersion is the version of the snapshot. Another one is not read: the
// log is read instead.
const snapshotVersion = 3

// Snapshot is what a replicator knows of its partition from the log up to a
// sequence, so that a successor need not read that part of the log. Nothing in it
// is merely in flight.
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
	Watermark      uint64 // lanes that are not here start above it
	Lanes          []SnapshotLane
	MessageIDs     []SnapshotID // in the order of their times
	ProducersAt    int64        // Unix nanoseconds up to which the idle times of producers are counted
	Producers      []SnapshotProducer
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

var snapshotSum = crc32.MakeTable(crc32.Castagnoli)

// EncodeSnapshot returns the stored form of s, which ends with its CRC-32C.
func EncodeSnapshot(s Snapshot) []byte {
	const lane, id, producer = 40, 24, 110 // bytes, roughly
	data := encode(256+lane*len(s.Lanes)+id*len(s.MessageIDs)+producer*len(s.Producers), func(e *encoder) {
		e.array(16)
		e.uint(snapshotVersion)
		e.uint(s.TopicID)
		e.uint(uint64(s.Incarnation))
		e.uint(s.Sequence)
		e.int(s.NextOffset)
		e.int(s.Time)
		e.string(s.LastMessageID)
		e.string(s.Owner)
		e.uint(s.OwnerEpoch)
		e.uint(s.FrontendEpoch)
		e.uint(s.SequencerEpoch)
		e.uint(s.Watermark)
		writeList(e, s.Lanes, encodeSnapshotLane)
		writeList(e, s.MessageIDs, encodeSnapshotID)
		e.int(s.ProducersAt)
		writeList(e, s.Producers, encodeSnapshotProducer)
	})
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, snapshotSum))
}

// DecodeSnapshot reads a stored snapshot. Errors wrap ErrMalformed, also when a
// bit of it is not what was written.
func DecodeSnapshot(data []byte) (Snapshot, error) {
	n := len(data) - 4
	if n < 0 {
		return Snapshot{}, fmt.Errorf("%w: a snapshot of %d bytes", ErrMalformed, len(data))
	}
	if sum := crc32.Checksum(data[:n], snapshotSum); sum != binary.BigEndian.Uint32(data[n:]) {
		return Snapshot{}, fmt.Errorf("%w: the CRC-32C of a snapshot is %08x, should be %08x",
			ErrMalformed, sum, binary.BigEndian.Uint32(data[n:]))
	}
	d := acquireDecoder(data[:n])
	defer d.release()
	d.fields(16)
	if v := d.uint(); d.err == nil && v != snapshotVersion {
		d.fail("snapshot of version %d, this process reads %d", v, snapshotVersion)
	}
	s := Snapshot{
		TopicID: d.uint(), Incarnation: d.uint32(), Sequence: d.uint(), NextOffset: d.natural(), Time: d.int(), LastMessageID: d.string(),
		Owner: d.string(), OwnerEpoch: d.uint(), FrontendEpoch: d.uint(), SequencerEpoch: d.uint(), Watermark: d.uint(),
		Lanes: list(d, decodeSnapshotLane), MessageIDs: list(d, decodeSnapshotID),
		ProducersAt: d.int(), Producers: list(d, decodeSnapshotProducer),
	}
	d.end()
	if d.err != nil {
		return Snapshot{}, d.err
	}
	return s, nil
}

func encodeSnapshotLane(e *encoder, l *SnapshotLane) {
	e.array(4)
	e.string(l.Lane)
	e.uint(l.Settled)
	e.uint(l.Floor)
	writeList(e, l.Done, func(e *encoder, t *SnapshotTicket) {
		e.array(3)
		e.uint(t.Number)
		e.int(t.Offset)
		e.bool(t.Duplicate)
	})
}

func decodeSnapshotLane(d *decoder) SnapshotLane {
	d.fields(4)
	return SnapshotLane{
		Lane: d.string(), Settled: d.uint(), Floor: d.uint(),
		Done: list(d, func(d *decoder) SnapshotTicket {
			d.fields(3)
			return SnapshotTicket{Number: d.uint(), Offset: d.natural(), Duplicate: d.bool()}
		}),
	}
}

func encodeSnapshotID(e *encoder, i *SnapshotID) {
	e.array(3)
	e.string(i.ID)
	e.int(i.Offset)
	e.int(i.Time)
}

func decodeSnapshotID(d *decoder) SnapshotID {
	d.fields(3)
	return SnapshotID{ID: d.string(), Offset: d.natural(), Time: d.int()}
}

func encodeSnapshotProducer(e *encoder, p *SnapshotProducer) {
	e.array(3)
	encodeFence(e, &p.ProducerFence)
	e.int(int64(p.Idle))
	e.array(3 * len(p.Batches))
	for _, b := range p.Batches {
		e.int(b.Offset)
		e.int(int64(b.First))
		e.int(int64(b.Last))
	}
}

func decodeSnapshotProducer(d *decoder) SnapshotProducer {
	d.fields(3)
	p := SnapshotProducer{ProducerFence: decodeFence(d), Idle: time.Duration(d.natural())}
	n := d.array()
	if n%3 != 0 {
		d.fail("%d numbers are no batches", n)
	}
	if n == 0 || d.err != nil {
		return p
	}
	p.Batches = make([]SnapshotBatch, 0, min(n/3, 5))
	for range n / 3 {
		p.Batches = append(p.Batches, SnapshotBatch{Offset: d.natural(), First: d.natural32(), Last: d.natural32()})
		if d.err != nil {
			return SnapshotProducer{}
		}
	}
	return p
}
