package messages

import (
	"math"
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// Samples have every field set, and the largest numbers there are.

var samplePartition = protocol.Partition{Topic: "orders", TopicID: math.MaxUint64, Number: 3, Incarnation: math.MaxUint32, Log: math.MaxUint16}

var sampleStaged = StagedBatch{
	Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: "lane-a", Number: math.MaxUint64}, Floor: 5, Records: math.MaxUint32, MessageID: "id-1", Sequence: Sequence{ProducerID: math.MaxInt64, ProducerEpoch: math.MaxInt16, First: math.MaxInt32}}, FirstUnacked: protocol.NotSaid, Expect: Expectation{HasSequence: true, Sequence: math.MaxUint64, MessageID: "id-0"}, Trace: Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "k=v"}},
	Extent:     Extent{Key: "objects/01", Offset: 4096, Length: 1 << 40, CRC: math.MaxUint32},
}

var sampleInline = StagedBatch{Submission: sampleStaged.Submission, Extent: Extent{Length: 11, CRC: math.MaxUint32}, Inline: []byte("payload one")}

var sampleWithheld = StagedBatch{Submission: sampleStaged.Submission, Extent: Extent{Length: protocol.MaxFrameBytes, CRC: math.MaxUint32}, Withheld: true}

var sampleBlock = InBlock{Codec: protocol.CompressionZstd, Bytes: protocol.MaxFrameBytes, Start: 1 << 20, Length: protocol.MaxFrameBytes - 1<<20, CRC: math.MaxUint32}

var sampleStage = Stage{samplePartition, 7, protocol.CompressionS2, []StageBatch{
	{
		Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: "lane-a", Number: 9}, Floor: 4, Records: 2, MessageID: "id-1", Sequence: sampleStaged.Sequence}, FirstUnacked: math.MaxInt32, Expect: sampleStaged.Expect, Trace: sampleStaged.Trace},
		Attempt:    math.MaxUint32,
		Remaining:  math.MinInt64,
		Payload:    []byte("payload one"),

		MaxRecordBytes: math.MaxUint32,
		Inline:         true,
	},
	{Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: "lane-b", Number: 1}, Records: 1}}, Attempt: 1, Remaining: math.MaxInt64, Payload: []byte("payload two")},
	{},
}}

var sampleNumbers = []LaneNumbers{{Lane: "lane-a", Numbers: []uint64{0, 127, 128, 1 << 32, math.MaxUint64}}, {Lane: "none"}}

// samples holds one full message of each kind.
var samples = map[kind]Message{
	kindStage: sampleStage,
	kindRefused: Refused{samplePartition, 7, "x7", []Refusal{
		{Ticket: Ticket{Lane: "lane-a", Number: 9}, Attempt: 2, Code: protocol.CodeStagerBusy, Detail: "no memory"}, {},
	}},
	kindHolding:   Holding{samplePartition, 7, "x7", []Held{{Ticket: Ticket{Lane: "lane-a", Number: 9}, Attempt: math.MaxUint32}, {}}},
	kindStaged:    Staged{samplePartition, 7, []StagedBatch{sampleStaged, {Extent: Extent{Key: "objects/01", Length: 9, CRC: 1, Block: sampleBlock}}, sampleInline, {}}},
	kindAnnounce:  Announce{samplePartition, math.MaxUint64},
	kindAnnounced: Announced{samplePartition, 7},
	kindAdvance:   Advance{samplePartition, 7, []LaneProgress{{Lane: "lane-a", Floor: 1, Highest: 9}, {}}},
	kindMissing:   Missing{samplePartition, 7, sampleNumbers},
	kindFenced:    Fenced{samplePartition, 8},
	kindRelease: Release{
		Partition: samplePartition, Epoch: 7, SequencerEpoch: 8, HelloTerm: 9, Batches: []StagedBatch{sampleStaged, sampleInline, sampleWithheld, {}},
	},
	kindReleaseAgain: ReleaseAgain{samplePartition, 7, sampleNumbers},
	kindHello:        Hello{samplePartition, 12},
	kindBegan:        Began{samplePartition, 13},
	kindOutcomes: Outcomes{samplePartition, 7, []Outcome{
		{Ticket: Ticket{Lane: "lane-a", Number: 9}, Offset: math.MaxInt64, Duplicate: true}, {Code: protocol.CodeNotCommitted, Detail: "why"},
	}},
	kindCommitted:      Committed{samplePartition, 44, EncodeEntry(sampleEntry)},
	kindReadOnly:       ReadOnly{samplePartition, "entry 12 of its log is missing", true},
	kindCongested:      Congested{samplePartition, "67108864 bytes of its log are not archived"},
	kindFenceProducer:  FenceProducer{samplePartition, 7, sampleKnown.ProducerFence, true},
	kindProducerFenced: ProducerFenced{samplePartition, 7, 4, protocol.CodeInvalidEpoch, sampleKnown},
	kindListProducers:  ListProducers{samplePartition, 7, math.MaxUint64, math.MaxInt64, math.MaxInt64, math.MaxUint32},
	kindProducers: Producers{
		Partition: samplePartition, Asker: 7, Request: 9, Total: 10, More: true, Producers: []KnownProducer{sampleKnown, {}},
	},
	kindArchive:       Archive{samplePartition, sampleHistory, Position{math.MaxUint64, math.MaxInt64}, protocol.CompressionZstd, true, math.MaxUint64, Retention{math.MaxInt64, math.MinInt64, math.MaxInt64}, Kept{math.MaxInt64, math.MaxInt64}},
	kindArchived:      Archived{samplePartition, "m/00", sampleHistory, 700, 2, 298, math.MaxUint64, Retention{1, -2, 3}},
	kindOutdated:      Outdated{samplePartition, 7, []OutdatedResult{{Ticket{Lane: "lane-a", Number: math.MaxUint64}, "o/01"}, {}}},
	kindTruncate:      Truncate{samplePartition, 7, math.MaxUint64, math.MaxInt64},
	kindTruncated:     Truncated{samplePartition, 7, math.MaxUint64, math.MaxInt64, protocol.CodeInvalidRequest, "why"},
	kindArchiving:     Archiving{samplePartition, "m/00"},
	kindArchiveFailed: ArchiveFailed{samplePartition, "m/00", "the store is read-only"},
}

var sampleHistory = History{Manifest: "m/01", Start: 5, End: Position{Sequence: math.MaxUint64 - 1, Offset: 900}, Size: math.MaxInt64, Bytes: 1 << 40, Oldest: math.MinInt64, OldestBytes: 1 << 26}

var sampleKnown = KnownProducer{
	ProducerFence: ProducerFence{ProducerID: math.MaxInt64, ProducerEpoch: math.MaxInt16, Name: "name"},
	HasLast:       true, Last: math.MaxInt32, Age: math.MaxInt64,
}

var sampleEntry = Entry{
	TopicID: 77, Epoch: 7, SequencerEpoch: 8, BaseOffset: 1000, Time: 1_700_000_000_000_000_000,
	Batches: []Placeholder{
		{Batch: Batch{Ticket: Ticket{Lane: "a", Number: 1}, Records: 3, MessageID: "id-1"}, Extent: Extent{Key: "one", Length: 10, CRC: 1}},
		{Batch: Batch{Ticket: Ticket{Lane: "b", Number: 1}, Floor: 1, Records: 1}, Extent: Extent{Key: "one", Offset: 10, Length: 5, CRC: 2}},
		{Batch: Batch{Ticket: Ticket{Lane: "a", Number: 2}, Floor: 1, Records: 300}, Extent: Extent{Key: "two", Offset: 1 << 33, Length: 1 << 20, CRC: math.MaxUint32}},
	},
}

// sampleFullEntry has every field set but the owner and its epoch.
var sampleFullEntry = func() Entry {
	n := sampleEntry
	n.Gap, n.Created, n.RisingFrom, n.History, n.Watermark = 12, true, 9, sampleHistory, math.MaxUint64
	n.Refused = sampleNumbers
	n.Batches = slices.Clone(n.Batches)
	n.Batches[1].Sequence = Sequence{ProducerID: 1 << 40, ProducerEpoch: 3, First: math.MaxInt32}
	n.Batches = append(n.Batches,
		Placeholder{Batch: Batch{Ticket: Ticket{Lane: "a", Number: 3}, Records: 1}, Extent: Extent{Key: "two", Offset: 7, Length: 9, CRC: 1, Block: sampleBlock}},
		Placeholder{Batch: Batch{Ticket: Ticket{Lane: "a", Number: 4}, Records: 1}, Extent: Extent{Key: "two", Offset: 7, Length: 9, CRC: 1, Block: InBlock{Codec: protocol.CompressionZstd, Bytes: protocol.MaxFrameBytes, Start: 0, Length: 1, CRC: 2}}},
		Placeholder{Batch: Batch{Ticket: Ticket{Lane: "b", Number: 3}, Records: 1}, Extent: Extent{Key: "one", Offset: 90, Length: 9, Block: InBlock{Codec: protocol.CompressionS2, Bytes: 10, Length: 10}}},
	)
	n.Fences = []LoggedFence{{ProducerFence: ProducerFence{ProducerID: 5, ProducerEpoch: 4, Name: "feed"}, Anew: true, Continues: 3}}
	return n
}()

// sampleInlineEntry has inline batches beside others.
var sampleInlineEntry = func() Entry {
	n := sampleFullEntry
	inline := []Placeholder{
		{Batch: Batch{Ticket: Ticket{Lane: "c", Number: 1}, Records: 1, MessageID: "id-7"}, Extent: Extent{Length: 9, CRC: 7}, Inline: []byte("frame one")},
		{Batch: Batch{Ticket: Ticket{Lane: "a", Number: 5}, Records: 2, Sequence: sampleStaged.Sequence}, Extent: Extent{Length: 5, CRC: math.MaxUint32}, Inline: []byte("three")},
	}
	n.Batches = slices.Concat(inline[:1], n.Batches, inline[1:])
	return n
}()

var sampleSnapshot = Snapshot{
	TopicID: math.MaxUint64, Incarnation: math.MaxUint32, Sequence: 44, NextOffset: math.MaxInt64, Time: 1_700_000_000_000_000_000, LastMessageID: "id-1",
	Owner: "owner", OwnerEpoch: 6, FrontendEpoch: 7, SequencerEpoch: 8, LanesAbove: 9,
	Lanes: []SnapshotLane{
		{Lane: "a", Settled: 12, Floor: 11, Done: []SnapshotTicket{{Number: 11, Offset: 5}, {Number: 12, Offset: 1, Duplicate: true}}},
		{Lane: "b"},
	},
	MessageIDs:  []SnapshotID{{ID: "id-1", Offset: 5, Time: 1_700_000_000_000_000_000}, {}},
	ProducersAt: 1_700_000_000_000_000_001,
	Producers: []SnapshotProducer{
		{
			ProducerFence: ProducerFence{ProducerID: 1 << 40, ProducerEpoch: math.MaxInt16, Name: "feed"}, Idle: time.Hour,
			Batches: []SnapshotBatch{{Offset: 3, First: math.MaxInt32, Last: 1}, {Offset: 5, First: 2, Last: 2}},
		},
		{ProducerFence: ProducerFence{ProducerID: 2}},
	},
	History: sampleHistory,
	Runs: []Run{
		{End: Position{Sequence: math.MaxUint64, Offset: math.MaxInt64}, Since: math.MinInt64, Payload: math.MaxInt64, LogBytes: 1 << 20, Batches: 300, Generation: NoGeneration},
		{},
	},
	Watermark: math.MaxUint64,
}
