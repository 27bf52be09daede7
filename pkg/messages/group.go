package messages

import (
	"errors"
	"fmt"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// groupVersion is the version of the group, which is the stored form of a journal.
const groupVersion = 1

// ErrGroupVersion means that a group has a version that this process does not read. Nothing may be
// appended to its journal, because the group may concern any log.
var ErrGroupVersion = errors.New("the group has another version")

// LogID identifies the log of a partition within a journal. A topic that is created again has
// another id, and a log that continues a damaged one has the next incarnation.
type LogID struct {
	TopicID     uint64
	Number      int32 // of the partition
	Incarnation uint32
}

// LogIDOf returns the id of a partition's log.
func LogIDOf(p protocol.Partition) LogID {
	return LogID{TopicID: p.TopicID, Number: p.Number, Incarnation: p.Incarnation}
}

// SectionKind says what a section does to the log of its partition.
type SectionKind uint8

// The kinds of sections. A log that is not known has no first section, or was deleted after it.
const (
	// SectionFirst is the first entry of a log. If the log is known, it has no effect: an
	// attempt to create the log was repeated.
	SectionFirst SectionKind = iota + 1
	// SectionNext is the entry that follows the last one.
	SectionNext
	// SectionAgain is the last entry once more, so that groups before this one can be purged.
	SectionAgain
	// SectionSealed ends the log: no entry may follow. It has no entry.
	SectionSealed
	// SectionDeleted removes the log. It has no entry.
	SectionDeleted
	// SectionCopied ends StageCopying: the log has all entries of the log that it continues. It
	// has no entry.
	SectionCopied
	// SectionTrimmed says that the entries below a sequence are not needed any more. It has no
	// entry, and changes nothing else about the log.
	SectionTrimmed
	// SectionSuspect is SectionAgain of a log that may have had entries after its last known one, in
	// groups that are lost.
	SectionSuspect

	sectionKinds = SectionSuspect
)

// SectionStage says who appends to a log when an entry is made.
type SectionStage uint8

// The stages. A log that is created is owned at once. One that continues a damaged log is copied
// first, and its topic's record does not name it before that has ended.
const (
	StageOwned   SectionStage = iota // its owner
	StageCopying                     // a repair, which has not ended
	StageCopied                      // nobody: the repair has ended, and no owner has appended yet
	StageSealed                      // nobody any more

	sectionStages = StageSealed
)

// HasEntry reports whether sections of the kind have an entry.
func (k SectionKind) HasEntry() bool { return k <= SectionAgain || k == SectionSuspect }

// Section is the part of a group that belongs to the log of one partition.
type Section struct {
	Log  LogID
	Kind SectionKind
	// Sequence is that of the entry in the log of its partition. The entries of a log have
	// sequences that follow each other, whatever stands between them in the journal. For
	// SectionTrimmed it is that of the first entry that is needed.
	Sequence uint64
	Entry    []byte // as EncodeEntry returns it
	// Topic is the name of the topic, and Stage that of the log after the entry. Every entry has
	// them, because those before it may be purged. A section without an entry has neither.
	Topic string
	Stage SectionStage
}

// Group is one JetStream message of a journal: a group commit of sections. A journal is the
// stream that the logs of many partitions share, so that one append, and one sync, is enough for
// all entries that wait at the same time.
type Group struct {
	// Writer and Number identify the group. A writer whose append has an unknown outcome finds
	// out by them whether the group is in the journal. Writer is different for each start of a
	// process.
	Writer   string
	Number   uint64 // among the groups of the writer, from 1
	Sections []Section
}

// Numbers of fields.
const (
	groupFields   = 4
	sectionFields = 8
)

// MaxSectionOverhead is by how many bytes a group of one section is longer than its entry, at most.
const MaxSectionOverhead = 512

// EncodeGroup returns the stored form of g.
func EncodeGroup(g Group) []byte {
	size := 32
	for i := range g.Sections {
		size += 32 + len(g.Sections[i].Entry) + len(g.Sections[i].Topic)
	}
	return codec.Encode(size, func(e *codec.Encoder) {
		e.Array(groupFields)
		e.Uint(groupVersion)
		e.Text(g.Writer)
		e.Uint(g.Number)
		codec.WriteList(e, g.Sections, func(e *codec.Encoder, s *Section) {
			e.Array(sectionFields)
			e.Uint(s.Log.TopicID)
			e.Int(int64(s.Log.Number))
			e.Uint(uint64(s.Log.Incarnation))
			e.Uint(uint64(s.Kind))
			e.Uint(s.Sequence)
			e.Bytes(s.Entry)
			e.Text(s.Topic)
			e.Uint(uint64(s.Stage))
		})
	})
}

// DecodeGroup reads a group. Its entries are not decoded, and alias data. Errors wrap
// ErrMalformed or ErrGroupVersion.
func DecodeGroup(data []byte) (Group, error) {
	d := codec.Acquire(data)
	defer d.Release()
	fields := d.Array() // of another number in another version
	if v := d.Uint(); d.Err() == nil && v != groupVersion {
		return Group{}, fmt.Errorf("%w: %d, this process reads %d", ErrGroupVersion, v, groupVersion)
	}
	if d.Err() == nil && fields != groupFields {
		d.Fail("group of %d fields", fields)
	}
	g := Group{Writer: d.Text(), Number: d.Uint(), Sections: codec.List(d, decodeSection)}
	d.End()
	if d.Err() != nil {
		return Group{}, d.Err()
	}
	return g, nil
}

func decodeSection(d *codec.Decoder) Section {
	d.Fields(sectionFields)
	s := Section{Log: LogID{TopicID: d.Uint(), Number: d.Natural32(), Incarnation: d.Uint32()}}
	kind := d.Uint()
	s.Kind, s.Sequence, s.Entry, s.Topic = SectionKind(kind), d.Uint(), d.Bytes(), d.Text()
	stage := d.Uint()
	s.Stage = SectionStage(stage)
	switch {
	case d.Err() != nil:
	case kind == 0 || kind > uint64(sectionKinds):
		d.Fail("section of kind %d", kind)
	case (s.Kind.HasEntry() || s.Kind == SectionTrimmed) != (s.Sequence > 0) || s.Kind.HasEntry() != (len(s.Entry) > 0):
		d.Fail("section of kind %d with sequence %d and an entry of %d bytes", kind, s.Sequence, len(s.Entry))
	case stage > uint64(sectionStages), !s.Kind.HasEntry() && (stage != 0 || s.Topic != ""):
		d.Fail("section of kind %d with topic %q and stage %d", kind, s.Topic, stage)
	}
	return s
}
