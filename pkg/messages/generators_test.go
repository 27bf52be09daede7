package messages

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

// Generators of everything that travels. Counts of zero give nil, which is what
// decoding gives.

func listOf[T any](item *rapid.Generator[T], most int) *rapid.Generator[[]T] {
	return rapid.Custom(func(t *rapid.T) []T {
		items := rapid.SliceOfN(item, 0, most).Draw(t, "items")
		if len(items) == 0 {
			return nil
		}
		return items
	})
}

func genBytes(most int) *rapid.Generator[[]byte] { return listOf(rapid.Byte(), most) }

// genString covers the lengths at which the encoding of a string changes.
var genString = rapid.OneOf(
	rapid.String(),
	rapid.SampledFrom([]string{"", "x", string(make([]byte, 31)), string(make([]byte, 32)), string(make([]byte, 255)), string(make([]byte, 256)), string(make([]byte, 1<<16))}),
)

var genNatural = rapid.Int64Range(0, math.MaxInt64)

var genTopicName = rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)

var genPartition = rapid.Custom(func(t *rapid.T) protocol.Partition {
	return protocol.Partition{
		Topic:   genTopicName.Draw(t, "topic"),
		TopicID: rapid.Uint64().Draw(t, "topic id"),
		Number:  rapid.Int32().Draw(t, "partition"),

		Incarnation: rapid.Uint32().Draw(t, "incarnation"),
		Log:         rapid.Uint16().Draw(t, "log"),
	}
})

var genTrace = rapid.Custom(func(t *rapid.T) Trace {
	return Trace{Parent: genString.Draw(t, "parent"), State: genString.Draw(t, "state")}
})

var genExtent = rapid.Custom(func(t *rapid.T) Extent {
	offset := genNatural.Draw(t, "offset")
	x := Extent{
		Key:    genString.Draw(t, "key"),
		Offset: offset,
		Length: rapid.Int64Range(0, math.MaxInt64-offset).Draw(t, "length"),
		CRC:    rapid.Uint32().Draw(t, "crc"),
	}
	if x.Block.Codec = genCodec.Draw(t, "codec"); x.Compressed() {
		x.Offset = min(x.Offset, math.MaxInt64-protocol.MaxFrameBytes)
		x.Block.Bytes = rapid.Uint32Range(1, protocol.MaxFrameBytes).Draw(t, "bytes")
		x.Length = rapid.Int64Range(0, int64(x.Block.Bytes)-1).Draw(t, "stored length")
		x.Block.Start = rapid.Uint32Range(0, x.Block.Bytes-1).Draw(t, "start")
		x.Block.Length = rapid.Uint32Range(1, x.Block.Bytes-x.Block.Start).Draw(t, "frame length")
		x.Block.CRC = rapid.Uint32().Draw(t, "frame crc")
	}
	return x
})

var genCodec = rapid.SampledFrom(append([]protocol.Compression{"", ""}, protocol.Compressions()...))

var genSequence = rapid.Custom(func(t *rapid.T) Sequence {
	if rapid.Bool().Draw(t, "no producer") {
		return Sequence{}
	}
	return Sequence{
		ProducerID:    rapid.Int64Range(1, math.MaxInt64).Draw(t, "producer id"),
		ProducerEpoch: rapid.Int16Range(0, math.MaxInt16).Draw(t, "producer epoch"),
		First:         rapid.Int32Range(0, math.MaxInt32).Draw(t, "first"),
	}
})

var genFirstUnacked = rapid.Int32Range(protocol.NotSaid, math.MaxInt32)

var genFence = rapid.Custom(func(t *rapid.T) ProducerFence {
	return ProducerFence{
		ProducerID:    genNatural.Draw(t, "producer id"),
		ProducerEpoch: rapid.Int16Range(0, math.MaxInt16).Draw(t, "producer epoch"),
		Name:          genString.Draw(t, "name"),
	}
})

var genLoggedFence = rapid.Custom(func(t *rapid.T) LoggedFence {
	return LoggedFence{ProducerFence: genFence.Draw(t, "fence"), Anew: rapid.Bool().Draw(t, "anew"), Continues: rapid.Int64Min(0).Draw(t, "continues")}
})

var genKnown = rapid.Custom(func(t *rapid.T) KnownProducer {
	return KnownProducer{
		ProducerFence: genFence.Draw(t, "producer"),
		HasLast:       rapid.Bool().Draw(t, "has last"),
		Last:          rapid.Int32Range(0, math.MaxInt32).Draw(t, "last"),
		Age:           genNatural.Draw(t, "age"),
	}
})

var genPlaceholder = rapid.Custom(func(t *rapid.T) Placeholder {
	p := Placeholder{
		Batch:  Batch{Ticket: Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")}, Floor: rapid.Uint64().Draw(t, "floor"), Records: rapid.Uint32().Draw(t, "records"), MessageID: genString.Draw(t, "message id"), Sequence: genSequence.Draw(t, "sequence")},
		Extent: genExtent.Draw(t, "extent"),
	}
	if rapid.Bool().Draw(t, "inline") {
		p.Inline = rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "payload")
		p.Extent = Extent{Length: int64(len(p.Inline)), CRC: p.Extent.CRC}
	}
	return p
})

var genExpectation = rapid.Custom(func(t *rapid.T) Expectation {
	return Expectation{
		HasSequence: rapid.Bool().Draw(t, "has sequence"),
		Sequence:    rapid.Uint64().Draw(t, "sequence"),
		MessageID:   genString.Draw(t, "last message id"),
	}
})

var genStagedBatch = rapid.Custom(func(t *rapid.T) StagedBatch {
	placed := genPlaceholder.Draw(t, "placeholder")
	b := StagedBatch{
		Submission: Submission{Batch: placed.Batch, FirstUnacked: genFirstUnacked.Draw(t, "first unacked"), Expect: genExpectation.Draw(t, "expectation"), Trace: genTrace.Draw(t, "trace")},
		Extent:     placed.Extent,
		Inline:     placed.Inline,
	}
	if len(b.Inline) > 0 && rapid.Bool().Draw(t, "withheld") {
		b.Inline, b.Withheld = nil, true
	}
	return b
})

var genStageBatch = rapid.Custom(func(t *rapid.T) StageBatch {
	return StageBatch{
		Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")}, Floor: rapid.Uint64().Draw(t, "floor"), Records: rapid.Uint32().Draw(t, "records"), MessageID: genString.Draw(t, "message id"), Sequence: genSequence.Draw(t, "sequence")}, FirstUnacked: genFirstUnacked.Draw(t, "first unacked"), Expect: genExpectation.Draw(t, "expectation"), Trace: genTrace.Draw(t, "trace")},
		Attempt:    rapid.Uint32().Draw(t, "attempt"),
		Remaining:  rapid.Int64().Draw(t, "remaining"),
		Payload:    genBytes(600).Draw(t, "payload"),

		MaxRecordBytes: rapid.Uint32().Draw(t, "max record bytes"),
		Inline:         rapid.Bool().Draw(t, "inline"),
	}
})

var genLaneProgress = rapid.Custom(func(t *rapid.T) LaneProgress {
	return LaneProgress{
		Lane:    genString.Draw(t, "lane"),
		Floor:   rapid.Uint64().Draw(t, "floor"),
		Highest: rapid.Uint64().Draw(t, "highest"),
	}
})

var genLaneNumbers = rapid.Custom(func(t *rapid.T) LaneNumbers {
	return LaneNumbers{Lane: genString.Draw(t, "lane"), Numbers: listOf(rapid.Uint64(), 40).Draw(t, "numbers")}
})

var genCode = rapid.Custom(func(t *rapid.T) protocol.Code { return protocol.Code(rapid.Uint16().Draw(t, "code")) })

var genRefusal = rapid.Custom(func(t *rapid.T) Refusal {
	return Refusal{
		Ticket:  Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")},
		Attempt: rapid.Uint32().Draw(t, "attempt"),
		Code:    genCode.Draw(t, "code"),
		Detail:  genString.Draw(t, "detail"),
	}
})

var genHeld = rapid.Custom(func(t *rapid.T) Held {
	return Held{
		Ticket:  Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")},
		Attempt: rapid.Uint32().Draw(t, "attempt"),
	}
})

var genOutcome = rapid.Custom(func(t *rapid.T) Outcome {
	return Outcome{
		Ticket:    Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")},
		Code:      genCode.Draw(t, "code"),
		Offset:    genNatural.Draw(t, "offset"),
		Duplicate: rapid.Bool().Draw(t, "duplicate"),
		Detail:    genString.Draw(t, "detail"),
	}
})

var genOutdatedResult = rapid.Custom(func(t *rapid.T) OutdatedResult {
	return OutdatedResult{Ticket: Ticket{Lane: genString.Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")}, Key: genString.Draw(t, "key")}
})

var genRetention = rapid.Custom(func(t *rapid.T) Retention {
	return Retention{Before: genNatural.Draw(t, "before"), Cutoff: rapid.Int64().Draw(t, "cutoff"), Bytes: genNatural.Draw(t, "bytes")}
})

var genKept = rapid.Custom(func(t *rapid.T) Kept {
	return Kept{Age: time.Duration(genNatural.Draw(t, "age")), Bytes: genNatural.Draw(t, "kept bytes")}
})

// genBody draws a message of each kind for a partition and an epoch.
var genBody = map[kind]func(t *rapid.T, p protocol.Partition, epoch uint64) Message{
	kindStage: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Stage{p, epoch, genCodec.Draw(t, "codec"), listOf(genStageBatch, 5).Draw(t, "batches")}
	},
	kindRefused: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Refused{p, epoch, genString.Draw(t, "stager"), listOf(genRefusal, 5).Draw(t, "refusals")}
	},
	kindHolding: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Holding{p, epoch, genString.Draw(t, "stager"), listOf(genHeld, 5).Draw(t, "held")}
	},
	kindStaged: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Staged{p, epoch, listOf(genStagedBatch, 5).Draw(t, "batches")}
	},
	kindAnnounce:  func(_ *rapid.T, p protocol.Partition, epoch uint64) Message { return Announce{p, epoch} },
	kindAnnounced: func(_ *rapid.T, p protocol.Partition, epoch uint64) Message { return Announced{p, epoch} },
	kindAdvance: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Advance{p, epoch, listOf(genLaneProgress, 20).Draw(t, "lanes")}
	},
	kindMissing: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Missing{p, epoch, listOf(genLaneNumbers, 5).Draw(t, "lanes")}
	},
	kindFenced: func(_ *rapid.T, p protocol.Partition, epoch uint64) Message { return Fenced{p, epoch} },
	kindRelease: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Release{
			p, epoch, rapid.Uint64().Draw(t, "sequencer epoch"), rapid.Uint64().Draw(t, "hello term"),
			listOf(genStagedBatch, 5).Draw(t, "batches"),
		}
	},
	kindReleaseAgain: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return ReleaseAgain{p, epoch, listOf(genLaneNumbers, 5).Draw(t, "lanes")}
	},
	kindHello: func(_ *rapid.T, p protocol.Partition, epoch uint64) Message { return Hello{p, epoch} },
	kindBegan: func(_ *rapid.T, p protocol.Partition, epoch uint64) Message { return Began{p, epoch} },
	kindOutcomes: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Outcomes{p, epoch, listOf(genOutcome, 20).Draw(t, "outcomes")}
	},
	kindCommitted: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Committed{p, epoch, genBytes(600).Draw(t, "entry")}
	},
	kindReadOnly: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return ReadOnly{p, genString.Draw(t, "damage"), rapid.Bool().Draw(t, "unbegun")}
	},
	kindCongested: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return Congested{p, genString.Draw(t, "reason")}
	},
	kindFenceProducer: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return FenceProducer{p, epoch, genFence.Draw(t, "fence"), rapid.Bool().Draw(t, "if known")}
	},
	kindProducerFenced: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return ProducerFenced{
			p, epoch, rapid.Int16Range(0, math.MaxInt16).Draw(t, "fence"), genCode.Draw(t, "code"),
			genKnown.Draw(t, "producer"),
		}
	},
	kindListProducers: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return ListProducers{
			p, epoch, rapid.Uint64().Draw(t, "request"), genNatural.Draw(t, "only"), genNatural.Draw(t, "after"), rapid.Uint32().Draw(t, "limit"),
		}
	},
	kindProducers: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Producers{
			p, epoch, rapid.Uint64().Draw(t, "request"), rapid.Uint64().Draw(t, "total"), rapid.Bool().Draw(t, "more"),
			listOf(genKnown, 5).Draw(t, "producers"),
		}
	},
	kindArchive: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return Archive{p, genHistory.Draw(t, "base"), genPosition.Draw(t, "to"), genCodec.Draw(t, "codec"), rapid.Bool().Draw(t, "give up"), rapid.Uint64().Draw(t, "generation"), genRetention.Draw(t, "retain"), genKept.Draw(t, "kept")}
	},
	kindArchived: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return Archived{
			p, genString.Draw(t, "base"), genHistory.Draw(t, "history"),
			genNatural.Draw(t, "records"), genNatural.Draw(t, "damaged"), genNatural.Draw(t, "missing"), rapid.Uint64().Draw(t, "generation"), genRetention.Draw(t, "retain"),
		}
	},
	kindOutdated: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Outdated{p, epoch, listOf(genOutdatedResult, 20).Draw(t, "results")}
	},
	kindTruncate: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Truncate{p, epoch, rapid.Uint64().Draw(t, "request"), genNatural.Draw(t, "before")}
	},
	kindTruncated: func(t *rapid.T, p protocol.Partition, epoch uint64) Message {
		return Truncated{p, epoch, rapid.Uint64().Draw(t, "request"), genNatural.Draw(t, "start"), genCode.Draw(t, "code"), genString.Draw(t, "detail")}
	},
	kindArchiving: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return Archiving{p, genString.Draw(t, "base")}
	},
	kindArchiveFailed: func(t *rapid.T, p protocol.Partition, _ uint64) Message {
		return ArchiveFailed{p, genString.Draw(t, "base"), genString.Draw(t, "reason")}
	},
}

var genPosition = rapid.Custom(func(t *rapid.T) Position {
	return Position{Sequence: rapid.Uint64().Draw(t, "sequence"), Offset: genNatural.Draw(t, "offset")}
})

var genHistory = rapid.Custom(func(t *rapid.T) History {
	h := History{Manifest: genString.Draw(t, "manifest"), End: genPosition.Draw(t, "end")}
	h.Start = rapid.Int64Range(0, h.End.Offset).Draw(t, "start")
	h.Size, h.Bytes = genNatural.Draw(t, "size"), genNatural.Draw(t, "bytes")
	h.Oldest, h.OldestBytes = rapid.Int64().Draw(t, "oldest"), genNatural.Draw(t, "oldest bytes")
	return h
})

var genRun = rapid.Custom(func(t *rapid.T) Run {
	return Run{
		End: genPosition.Draw(t, "end"), Since: rapid.Int64().Draw(t, "since"), Payload: genNatural.Draw(t, "payload"),
		LogBytes: genNatural.Draw(t, "log bytes"), Batches: genNatural.Draw(t, "batches"), Generation: rapid.Uint64().Draw(t, "generation"),
	}
})

var genEntry = rapid.Custom(func(t *rapid.T) Entry {
	n := Entry{
		TopicID:        rapid.Uint64().Draw(t, "topic id"),
		Owner:          genString.Draw(t, "owner"),
		OwnerEpoch:     rapid.Uint64().Draw(t, "owner epoch"),
		Epoch:          rapid.Uint64().Draw(t, "epoch"),
		SequencerEpoch: rapid.Uint64().Draw(t, "sequencer epoch"),
		BaseOffset:     rapid.Int64Range(0, math.MaxInt64-20*math.MaxUint32).Draw(t, "base offset"),
		Created:        rapid.Bool().Draw(t, "created"),
		Time:           rapid.Int64().Draw(t, "time"),
		RisingFrom:     rapid.Uint64().Draw(t, "rising from"),
		Watermark:      rapid.Uint64().Draw(t, "watermark"),
		Batches:        listOf(genPlaceholder, 20).Draw(t, "batches"),
		Fences:         listOf(genLoggedFence, 3).Draw(t, "fences"),
	}
	n.Gap = rapid.Int64Range(0, n.BaseOffset).Draw(t, "gap")
	if rapid.Bool().Draw(t, "archived") {
		n.History = genHistory.Draw(t, "history")
		n.History.End.Offset = min(n.History.End.Offset, n.BaseOffset)
		n.History.Start = min(n.History.Start, n.BaseOffset)
	}
	// Batches of one entry mostly share lanes and objects.
	for i := 1; i < len(n.Batches); i++ {
		if rapid.Bool().Draw(t, "same lane") {
			n.Batches[i].Lane = n.Batches[i-1].Lane
		}
		if n.Batches[i].IsInline() {
			continue
		}
		if rapid.Bool().Draw(t, "same object") {
			n.Batches[i].Extent.Key = n.Batches[i-1].Extent.Key
		}
		if last := n.Batches[i-1].Extent; last.Compressed() && rapid.Bool().Draw(t, "same block") {
			n.Batches[i].Extent = last
			n.Batches[i].Extent.Block.CRC++
		}
	}
	return n
})

var genSnapshotLane = rapid.Custom(func(t *rapid.T) SnapshotLane {
	ticket := rapid.Custom(func(t *rapid.T) SnapshotTicket {
		return SnapshotTicket{
			Number: rapid.Uint64().Draw(t, "number"), Offset: genNatural.Draw(t, "offset"),
			Duplicate: rapid.Bool().Draw(t, "duplicate"),
		}
	})
	return SnapshotLane{
		Lane: genString.Draw(t, "lane"), Settled: rapid.Uint64().Draw(t, "settled"), Floor: rapid.Uint64().Draw(t, "floor"),
		Done: listOf(ticket, 5).Draw(t, "done"),
	}
})

var genSnapshotProducer = rapid.Custom(func(t *rapid.T) SnapshotProducer {
	batch := rapid.Custom(func(t *rapid.T) SnapshotBatch {
		sequence := rapid.Int32Range(0, math.MaxInt32)
		return SnapshotBatch{genNatural.Draw(t, "offset"), sequence.Draw(t, "first"), sequence.Draw(t, "last")}
	})
	return SnapshotProducer{
		ProducerFence: genFence.Draw(t, "producer"), Idle: time.Duration(genNatural.Draw(t, "idle")),
		Batches: listOf(batch, 7).Draw(t, "batches"),
	}
})

var genSnapshot = rapid.Custom(func(t *rapid.T) Snapshot {
	id := rapid.Custom(func(t *rapid.T) SnapshotID {
		return SnapshotID{genString.Draw(t, "id"), genNatural.Draw(t, "offset"), rapid.Int64().Draw(t, "time")}
	})
	return Snapshot{
		TopicID:        rapid.Uint64().Draw(t, "topic id"),
		Sequence:       rapid.Uint64().Draw(t, "sequence"),
		Incarnation:    rapid.Uint32().Draw(t, "incarnation"),
		NextOffset:     genNatural.Draw(t, "next offset"),
		Time:           rapid.Int64().Draw(t, "time"),
		LastMessageID:  genString.Draw(t, "last message id"),
		Owner:          genString.Draw(t, "owner"),
		OwnerEpoch:     rapid.Uint64().Draw(t, "owner epoch"),
		FrontendEpoch:  rapid.Uint64().Draw(t, "frontend epoch"),
		SequencerEpoch: rapid.Uint64().Draw(t, "sequencer epoch"),
		LanesAbove:     rapid.Uint64().Draw(t, "lanes above"),
		Lanes:          listOf(genSnapshotLane, 5).Draw(t, "lanes"),
		MessageIDs:     listOf(id, 5).Draw(t, "message ids"),
		ProducersAt:    rapid.Int64().Draw(t, "producers at"),
		Producers:      listOf(genSnapshotProducer, 5).Draw(t, "producers"),
		History:        genHistory.Draw(t, "history"),
		Runs:           listOf(genRun, 5).Draw(t, "runs"),
		Watermark:      rapid.Uint64().Draw(t, "watermark"),
	}
})
