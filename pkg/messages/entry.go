package messages

import (
	"math"
	"time"

	"laneway.dev/pkg/internal/codec"
)

// entryVersion is the version of the log entry. Entries of two versions before are read as well:
// those of version 7 have a short History and no Watermark, and those of version 6 have neither.
const (
	entryVersion       = 8
	oldestEntryVersion = 6
)

// Entry is one JetStream message of a partition's log. It is a group commit of batches
// and producer fences, or it has neither: with Created it is the first entry of its log,
// with Owner a term record, and otherwise a barrier.
type Entry struct {
	TopicID uint64
	// Owner is set in a term record, the first entry of a new owner of the log, and
	// names that owner. The entry's sequence is the owner's term.
	Owner          string
	OwnerEpoch     uint64 // of a term record: the owner's epoch in its role
	Epoch          uint64 // frontend epoch of all batches
	SequencerEpoch uint64
	BaseOffset     int64 // offset of the first record; the next free one in an entry without batches
	// Gap is how many offsets directly below BaseOffset have no records: the entry before
	// this one ends at BaseOffset - Gap. An owner that crashed had reserved them, and may
	// have acknowledged records at some of them; or their records were lost.
	Gap int64
	// Created marks the entry that the creation of a topic, or a repair, writes first:
	// a log without it has lost its beginning.
	Created bool
	// Time is that of all records of the entry, in Unix nanoseconds. It is taken
	// from the owner's clock. It does not fall from one entry to the next, unless
	// RisingFrom says so.
	Time int64
	// RisingFrom is the sequence of the newest entry with a lower time than the one
	// before it; 0 if there is none. From it up to this entry, times do not fall.
	RisingFrom uint64
	Batches    []Placeholder
	Fences     []LoggedFence // they come after the batches
	// Refused are tickets of the frontend epoch that were refused. Their batches are
	// not in the log, and MUST NOT be appended later, because their producers receive
	// the refusal.
	Refused []LaneNumbers
	// History is what was archived when the entry was made. It ends before the entry.
	History History
	// Watermark is a generation of objects, and never falls. From this entry on, the log refers to
	// no object with a lower generation, except those that History leads to. All others may be
	// deleted.
	Watermark uint64
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

// intern numbers the strings or blocks of an entry, so that each is encoded once. The batches
// of one entry share few lanes and fewer objects.
type intern[T comparable] struct {
	index  map[T]int
	values []T
}

func (t *intern[T]) of(value T) int {
	i, known := t.index[value]
	if !known {
		if t.index == nil {
			t.index = make(map[T]int)
		}
		i = len(t.values)
		t.index[value] = i
		t.values = append(t.values, value)
	}
	return i
}

// reference is what a placeholder refers to among the strings and blocks of its entry.
type reference struct {
	lane int
	// place is the object of the batch, or the number of objects plus that of its block, or
	// the number of objects and blocks if the batch is inline.
	place int
}

// EncodeEntry returns the stored form of n.
func EncodeEntry(n Entry) []byte {
	var lanes, keys intern[string]
	var blocks intern[Extent]
	refs := make([]reference, len(n.Batches))
	inline := 0
	for i := range n.Batches {
		b := &n.Batches[i]
		refs[i].lane = lanes.of(b.Lane)
		switch {
		case b.IsInline():
			inline += len(b.Inline)
		case b.Extent.Compressed():
			keys.of(b.Extent.Key)
			refs[i].place = blocks.of(b.Extent.Stored())
		default:
			refs[i].place = keys.of(b.Extent.Key)
		}
	}
	return codec.Encode(64+40*len(n.Batches)+inline, func(e *codec.Encoder) {
		e.Array(entryFields)
		e.Uint(entryVersion)
		e.Uint(n.TopicID)
		e.Text(n.Owner)
		e.Uint(n.OwnerEpoch)
		e.Uint(n.Epoch)
		e.Uint(n.SequencerEpoch)
		e.Int(n.BaseOffset)
		e.Int(n.Gap)
		e.Bool(n.Created)
		e.Int(n.Time)
		codec.WriteList(e, lanes.values, func(e *codec.Encoder, s *string) { e.Text(*s) })
		codec.WriteList(e, keys.values, func(e *codec.Encoder, s *string) { e.Text(*s) })
		codec.WriteList(e, blocks.values, func(e *codec.Encoder, x *Extent) { encodeBlock(e, x, keys.of(x.Key)) })
		e.Array(len(n.Batches))
		for i := range n.Batches {
			switch b := &n.Batches[i]; {
			case b.IsInline():
				refs[i].place = len(keys.values) + len(blocks.values)
			case b.Extent.Compressed():
				refs[i].place += len(keys.values)
			}
			encodePlaceholder(e, &n.Batches[i], refs[i])
		}
		codec.WriteList(e, n.Fences, encodeLoggedFence)
		codec.WriteList(e, n.Refused, encodeLaneNumbers)
		e.Uint(n.RisingFrom)
		n.History.encode(e)
		e.Uint(n.Watermark)
	})
}

// Numbers of fields. A placeholder without a producer id has no sequence, and one of an inline
// batch has a field less.
const (
	entryFields       = 19
	blockFields       = 6
	placeholderFields = 9
	sequencedFields   = placeholderFields + 3
)

func encodeBlock(e *codec.Encoder, x *Extent, key int) {
	e.Array(blockFields)
	e.Uint(uint64(key))
	e.Int(x.Offset)
	e.Int(x.Length)
	e.Uint(uint64(x.CRC))
	e.Text(string(x.Block.Codec))
	e.Uint(uint64(x.Block.Bytes))
}

func decodeBlock(d *codec.Decoder, keys []string) Extent {
	d.Fields(blockFields)
	x := Extent{Key: lookUp(d, keys), Offset: d.Natural(), Length: d.Natural(), CRC: d.Uint32()}
	x.Block = InBlock{Codec: decodeCodec(d), Bytes: d.Uint32()}
	x.check(d)
	return x
}

// encodePlaceholder writes the place of the batch within its object, or within its block.
func encodePlaceholder(e *codec.Encoder, p *Placeholder, ref reference) {
	sequenced := p.Sequence.ProducerID != 0
	fields := placeholderFields
	if sequenced {
		fields = sequencedFields
	}
	if p.IsInline() {
		fields--
	}
	e.Array(fields)
	e.Uint(uint64(ref.lane))
	e.Uint(p.Number)
	e.Uint(p.Floor)
	e.Uint(uint64(p.Records))
	e.Uint(uint64(ref.place))
	switch b := p.Extent.Block; {
	case p.IsInline():
		encodeInline(e, p)
	case p.Extent.Compressed():
		e.Uint(uint64(b.Start))
		e.Uint(uint64(b.Length))
		e.Uint(uint64(b.CRC))
	default:
		e.Int(p.Extent.Offset)
		e.Int(p.Extent.Length)
		e.Uint(uint64(p.Extent.CRC))
	}
	e.Text(p.MessageID)
	if sequenced {
		encodeSequence(e, p.Sequence)
	}
}

// DecodeEntry reads a log entry. Errors wrap ErrMalformed.
func DecodeEntry(data []byte) (Entry, error) {
	d := codec.Acquire(data)
	defer d.Release()
	fields := d.Array()
	v := d.Uint()
	switch {
	case d.Err() != nil:
	case v < oldestEntryVersion || v > entryVersion:
		d.Fail("log entry of version %d, this process reads %d to %d", v, oldestEntryVersion, entryVersion)
	case fields != entryFields-int(entryVersion-v): // each version has one field more than the one before
		d.Fail("log entry of %d fields", fields)
	}
	n := Entry{
		TopicID: d.Uint(), Owner: d.Text(), OwnerEpoch: d.Uint(), Epoch: d.Uint(), SequencerEpoch: d.Uint(), BaseOffset: d.Natural(),
		Gap: d.Natural(), Created: d.Bool(), Time: d.Int(),
	}
	lanes := codec.List(d, (*codec.Decoder).Text)
	keys := codec.List(d, (*codec.Decoder).Text)
	blocks := codec.List(d, func(d *codec.Decoder) Extent { return decodeBlock(d, keys) })
	n.Batches = codec.List(d, func(d *codec.Decoder) Placeholder { return decodePlaceholder(d, lanes, keys, blocks) })
	n.Fences = codec.List(d, decodeLoggedFence)
	n.Refused = codec.List(d, decodeLaneNumbers)
	n.RisingFrom = d.Uint()
	switch v {
	case entryVersion:
		n.History, n.Watermark = decodeHistory(d), d.Uint()
	case entryVersion - 1:
		n.History = decodeShortHistory(d)
	}
	d.End()
	if n.History.End.Offset > n.BaseOffset {
		d.Fail("a history up to offset %d in an entry at offset %d", n.History.End.Offset, n.BaseOffset)
	}
	if n.Gap > n.BaseOffset {
		d.Fail("a gap of %d offsets below offset %d", n.Gap, n.BaseOffset)
	}
	if n.Records() > math.MaxInt64-n.BaseOffset {
		d.Fail("%d records from offset %d", n.Records(), n.BaseOffset)
	}
	if d.Err() != nil {
		return Entry{}, d.Err()
	}
	return n, nil
}

func decodePlaceholder(d *codec.Decoder, lanes, keys []string, blocks []Extent) Placeholder {
	fields := d.Array()
	p := Placeholder{Batch: Batch{Ticket: Ticket{Lane: lookUp(d, lanes), Number: d.Uint()}, Floor: d.Uint(), Records: d.Uint32()}}
	if decodePlace(d, &p, keys, blocks); p.IsInline() {
		fields++
	}
	if fields != placeholderFields && fields != sequencedFields {
		d.Fail("placeholder of %d fields", fields)
	}
	p.MessageID = d.Text()
	if fields == sequencedFields {
		if p.Sequence = decodeSequence(d); p.Sequence.ProducerID == 0 {
			d.Fail("a placeholder with the sequence of no producer")
		}
	}
	return p
}

// decodePlace reads where a batch lies. Objects come before blocks in the numbers by which
// placeholders refer to them. The number that follows these says that the batch is inline.
func decodePlace(d *codec.Decoder, p *Placeholder, keys []string, blocks []Extent) {
	switch at := refer(d, len(keys)+len(blocks)+1); {
	case at < 0:
	case at < len(keys):
		p.Extent = Extent{Key: keys[at], Offset: d.Natural(), Length: d.Natural(), CRC: d.Uint32()}
		p.Extent.check(d)
	case at < len(keys)+len(blocks):
		p.Extent = blocks[at-len(keys)]
		b := &p.Extent.Block
		b.Start, b.Length, b.CRC = d.Uint32(), d.Uint32(), d.Uint32()
		p.Extent.checkFrame(d)
	default:
		decodeInline(d, p)
	}
}

func lookUp(d *codec.Decoder, names []string) string {
	if i := refer(d, len(names)); i >= 0 {
		return names[i]
	}
	return ""
}

// refer reads a reference to one of n names; negative after an error.
func refer(d *codec.Decoder, n int) int {
	i := d.Uint()
	if d.Err() == nil && i >= uint64(n) {
		d.Fail("reference %d into %d names", i, n)
	}
	if d.Err() != nil {
		return -1
	}
	return int(i)
}
