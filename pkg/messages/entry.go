package messages

import (
	"math"
	"time"
)

// entryVersion is the version of the log entry. Another one is not read.
const entryVersion = 5

// Entry is one JetStream message of a partition's log: a group commit of
// placeholders, or an entry without any: the first of its log if Created is set, a
// term record if Owner is set, else a barrier.
type Entry struct {
	TopicID uint64
	// Owner is set in the first entry of a new owner of the log and names it;
	// the entry's stream sequence is the owner's term.
	Owner          string
	OwnerEpoch     uint64 // of a term record: the owner's epoch in its role
	Epoch          uint64 // frontend epoch of all batches
	SequencerEpoch uint64
	BaseOffset     int64 // offset of the first record; the next free one in an entry without batches
	// Gap is how many offsets right below BaseOffset hold no records: the entry before
	// this one ends at BaseOffset - Gap. They were reserved by an owner that crashed,
	// which may have given out some of them, or belong to records that were lost.
	Gap int64
	// Created marks the entry that the creation of a topic, or a repair, writes first:
	// a log without it has lost its beginning.
	Created bool
	// Time is that of all records of the entry, in Unix nanoseconds. It is taken
	// from the owner's clock. It does not fall from one entry to the next, unless
	// RisingFrom says so.
	Time int64
	// RisingFrom is the sequence of the newest entry whose time fell, 0 if there is
	// none: from there on the times of the log rise up to this entry.
	RisingFrom uint64
	Batches    []Placeholder
	Fences     []LoggedFence // they come after the batches
	// Refused are tickets of the epoch whose batches are not in the log and never
	// will be, because their producers have been told so.
	Refused []LaneNumbers
}

// LoggedEntry is an entry as it stands in the log.
type LoggedEntry struct {
	Sequence uint64 // in the stream; the next entry has the next one
	Entry    Entry
}

// At returns the time of the entry's records.
func (n Entry) At() time.Time { return time.Unix(0, n.Time) }

// Records returns the number of records of the entry.
func (n Entry) Records() int64 {
	var total int64
	for i := range n.Batches {
		total += int64(n.Batches[i].Records)
	}
	return total
}

// NextOffset returns the offset that follows the entry's last record.
func (n Entry) NextOffset() int64 { return n.BaseOffset + n.Records() }

// intern numbers the strings of an entry: the batches of one entry share few
// lanes and fewer objects.
type intern struct {
	index map[string]int
	names []string
}

func (t *intern) of(name string) int {
	i, known := t.index[name]
	if !known {
		if t.index == nil {
			t.index = make(map[string]int)
		}
		i = len(t.names)
		t.index[name] = i
		t.names = append(t.names, name)
	}
	return i
}

// EncodeEntry returns the stored form of n.
func EncodeEntry(n Entry) []byte {
	var lanes, keys intern
	refs := make([][2]int, len(n.Batches))
	for i := range n.Batches {
		refs[i] = [2]int{lanes.of(n.Batches[i].Lane), keys.of(n.Batches[i].Extent.Key)}
	}
	return encode(64+40*len(n.Batches), func(e *encoder) {
		e.array(entryFields)
		e.uint(entryVersion)
		e.uint(n.TopicID)
		e.string(n.Owner)
		e.uint(n.OwnerEpoch)
		e.uint(n.Epoch)
		e.uint(n.SequencerEpoch)
		e.int(n.BaseOffset)
		e.int(n.Gap)
		e.bool(n.Created)
		e.int(n.Time)
		writeList(e, lanes.names, func(e *encoder, s *string) { e.string(*s) })
		writeList(e, keys.names, func(e *encoder, s *string) { e.string(*s) })
		e.array(len(n.Batches))
		for i := range n.Batches {
			encodePlaceholder(e, &n.Batches[i], refs[i])
		}
		writeList(e, n.Fences, encodeLoggedFence)
		writeList(e, n.Refused, encodeLaneNumbers)
		e.uint(n.RisingFrom)
	})
}

// Numbers of fields. A placeholder without a producer id has no sequence.
const (
	entryFields       = 16
	placeholderFields = 9
	sequencedFields   = placeholderFields + 3
)

func encodePlaceholder(e *encoder, p *Placeholder, ref [2]int) {
	sequenced := p.Sequence.ProducerID != 0
	if sequenced {
		e.array(sequencedFields)
	} else {
		e.array(placeholderFields)
	}
	e.uint(uint64(ref[0]))
	e.uint(p.Number)
	e.uint(p.Floor)
	e.uint(uint64(p.Records))
	e.uint(uint64(ref[1]))
	e.int(p.Extent.Offset)
	e.int(p.Extent.Length)
	e.uint(uint64(p.Extent.CRC))
	e.string(p.MessageID)
	if sequenced {
		encodeSequence(e, p.Sequence)
	}
}

// DecodeEntry reads a log entry. Errors wrap ErrMalformed.
func DecodeEntry(data []byte) (Entry, error) {
	d := acquireDecoder(data)
	defer d.release()
	fields := d.array()
	switch v := d.uint(); {
	case d.err != nil:
	case v != entryVersion:
		d.fail("log entry of version %d, this process reads %d", v, entryVersion)
	case fields != entryFields:
		d.fail("log entry of %d fields", fields)
	}
	n := Entry{
		TopicID: d.uint(), Owner: d.string(), OwnerEpoch: d.uint(), Epoch: d.uint(), SequencerEpoch: d.uint(), BaseOffset: d.natural(),
		Gap: d.natural(), Created: d.bool(), Time: d.int(),
	}
	lanes := list(d, (*decoder).string)
	keys := list(d, (*decoder).string)
	n.Batches = list(d, func(d *decoder) Placeholder { return decodePlaceholder(d, lanes, keys) })
	n.Fences = list(d, decodeLoggedFence)
	n.Refused = list(d, decodeLaneNumbers)
	n.RisingFrom = d.uint()
	d.end()
	if n.Gap > n.BaseOffset {
		d.fail("a gap of %d offsets below offset %d", n.Gap, n.BaseOffset)
	}
	if n.Records() > math.MaxInt64-n.BaseOffset {
		d.fail("%d records from offset %d", n.Records(), n.BaseOffset)
	}
	if d.err != nil {
		return Entry{}, d.err
	}
	return n, nil
}

func decodePlaceholder(d *decoder, lanes, keys []string) Placeholder {
	fields := d.array()
	if fields != placeholderFields && fields != sequencedFields {
		d.fail("placeholder of %d fields", fields)
	}
	p := Placeholder{
		Lane: lookUp(d, lanes), Number: d.uint(), Floor: d.uint(), Records: d.uint32(),
		Extent:    Extent{Key: lookUp(d, keys), Offset: d.natural(), Length: d.natural(), CRC: d.uint32()},
		MessageID: d.string(),
	}
	p.Extent.check(d)
	if fields == sequencedFields {
		if p.Sequence = decodeSequence(d); p.Sequence.ProducerID == 0 {
			d.fail("a placeholder with the sequence of no producer")
		}
	}
	return p
}

func lookUp(d *decoder, names []string) string {
	i := d.uint()
	if d.err == nil && i >= uint64(len(names)) {
		d.fail("reference %d into %d names", i, len(names))
	}
	if d.err != nil {
		return ""
	}
	return names[i]
}
