package repair

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// exportVersion is the version of a line of an export.
const exportVersion = 1

// Exported is one line of an export: a batch as a JSON object. A text that is not valid UTF-8
// is in the field that ends in _base64 instead.
type Exported struct {
	Version       int       `json:"laneway_export"`
	Topic         string    `json:"topic"`
	TopicID       uint64    `json:"topic_id,string"`
	Partition     int32     `json:"partition"`
	FrontendEpoch uint64    `json:"frontend_epoch"`
	Lane          string    `json:"lane,omitempty"`
	LaneBase64    []byte    `json:"lane_base64,omitempty"`
	Ticket        uint64    `json:"ticket"`
	Staged        time.Time `json:"staged"`
	// Key, Offset and Length are the place of the batch frame in the store, or of the
	// compressed block that has it. CRC32C is the checksum of what is stored there.
	Key    string         `json:"key"`
	Offset int64          `json:"offset"`
	Length int64          `json:"length"`
	CRC32C string         `json:"crc32c"`
	Block  *ExportedBlock `json:"block,omitempty"`

	Producer        *ExportedProducer `json:"producer,omitempty"` // of an idempotent producer
	MessageID       string            `json:"message_id,omitempty"`
	MessageIDBase64 []byte            `json:"message_id_base64,omitempty"`
	// MessageIDOffset is the offset of a batch in the log with the same message id. It may be
	// this batch, sent again by its producer.
	MessageIDOffset *int64 `json:"message_id_offset,omitempty"`

	// LogOffset is the offset that the batch has in the log, which --accept-loss drops. A small batch
	// stands in the log itself, so that Key is empty.
	LogOffset *int64 `json:"log_offset,omitempty"`

	Records []ExportedRecord `json:"records,omitempty"`
	// Error is the reason why the payload cannot be read. There are no Records then.
	Error string `json:"error,omitempty"`
}

// ExportedBlock is the place of a batch frame in a compressed block.
type ExportedBlock struct {
	Codec  protocol.Compression `json:"codec"`
	Start  uint32               `json:"start"` // in the decompressed block
	Length uint32               `json:"length"`
}

// ExportedProducer is the producer sequence of a batch.
type ExportedProducer struct {
	ID       int64 `json:"id,string"`
	Epoch    int16 `json:"epoch"`
	Sequence int32 `json:"sequence"` // of the first record
}

// ExportedRecord is a record of a batch.
type ExportedRecord struct {
	Headers     []ExportedHeader `json:"headers,omitempty"` // in their order
	Value       *string          `json:"value,omitempty"`
	ValueBase64 []byte           `json:"value_base64,omitempty"`
}

// ExportedHeader is a header of a record.
type ExportedHeader struct {
	Name        string `json:"name,omitempty"`
	NameBase64  []byte `json:"name_base64,omitempty"`
	Value       string `json:"value"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
}

// Written counts the content of an export.
type Written struct {
	Batches    int64 // with their records
	Records    int64
	Bytes      int64 // of the payloads
	Unreadable int64 // batches that have a line without records
}

// Batches returns how many batches an export has.
func (s *Survey) Batches() int64 {
	var n int64
	for i := range s.partitions {
		n += int64(len(s.partitions[i].lost.heads))
		for _, d := range s.partitions[i].dropped {
			n += d.batches
		}
	}
	return n
}

// Export writes the batches that no log refers to, one JSON object per line: sorted by
// partition, and within a lane by ticket. They are followed by the batches of the log that the plan of
// the partition drops, in the order of their offsets. It holds one payload in memory at a time.
// progress is called after each batch.
func (s *Survey) Export(ctx context.Context, to io.Writer, progress func()) (Written, error) {
	out := bufio.NewWriterSize(to, 256<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	var done Written
	write := func(line *Exported) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
		done.count(line)
		progress()
		return nil
	}
	for i := range s.partitions {
		p := &s.partitions[i]
		for n := range p.lost.heads {
			if err := write(s.export(ctx, p.id, &p.lost.heads[n])); err != nil {
				return done, err
			}
		}
		if err := s.exportDropped(ctx, p, write); err != nil {
			return done, err
		}
	}
	return done, out.Flush()
}

// exportDropped reads the entries that are dropped again, because all of them may not fit into memory.
func (s *Survey) exportDropped(ctx context.Context, p *inspected, write func(*Exported) error) error {
	for _, d := range p.dropped {
		entries, _, err := p.log.Read(ctx, d.sequence, 1)
		if err == nil && (len(entries) == 0 || entries[0].Sequence != d.sequence) {
			err = fmt.Errorf("entry %d of %s is not there any more", d.sequence, p.id)
		}
		if err != nil {
			return err
		}
		n := &entries[0].Entry
		offset := n.BaseOffset
		for i := range n.Batches {
			b := &n.Batches[i]
			line := s.export(ctx, p.id, &head{Batch: b.Batch, epoch: n.Epoch, extent: b.Extent, inline: b.Inline, messageIDAt: -1})
			line.LogOffset = new(offset)
			if err := write(line); err != nil {
				return err
			}
			offset += int64(b.Records)
		}
	}
	return nil
}

func (w *Written) count(line *Exported) {
	if line.Error != "" {
		w.Unreadable++
		return
	}
	w.Batches++
	w.Records += int64(len(line.Records))
	w.Bytes += line.frameLength()
}

func (l *Exported) frameLength() int64 {
	if l.Block != nil {
		return int64(l.Block.Length)
	}
	return l.Length
}

// export reads the payload of a batch and returns its line.
func (s *Survey) export(ctx context.Context, p protocol.Partition, h *head) *Exported {
	extent, all, err := s.read(ctx, h)
	line := &Exported{
		Version: exportVersion, Topic: p.Topic, TopicID: p.TopicID, Partition: p.Number,
		FrontendEpoch: h.epoch, Ticket: h.Number, Staged: objectstore.KeyTime(extent.Key).UTC(),
		Key: extent.Key, Offset: extent.Offset, Length: extent.Length, CRC32C: fmt.Sprintf("%08x", extent.CRC),
	}
	if b := extent.Block; extent.Compressed() {
		line.Block = &ExportedBlock{b.Codec, b.Start, b.Length}
	}
	line.Lane, line.LaneBase64 = text(h.Lane)
	line.MessageID, line.MessageIDBase64 = text(h.MessageID)
	if h.messageIDAt >= 0 {
		line.MessageIDOffset = new(h.messageIDAt)
	}
	if q := h.Sequence; q.ProducerID != 0 {
		line.Producer = &ExportedProducer{ID: q.ProducerID, Epoch: q.ProducerEpoch, Sequence: q.First}
	}
	if line.Records = all; err != nil {
		line.Error = err.Error()
	}
	return line
}

// read returns the records of a batch, from its first copy that can be read, and the extent
// of that copy.
func (s *Survey) read(ctx context.Context, h *head) (messages.Extent, []ExportedRecord, error) {
	if len(h.inline) > 0 {
		all, err := records(h.inline)
		return h.extent, all, err
	}
	all, err := s.readFrom(ctx, h.extent, h.Records)
	if err == nil {
		return h.extent, all, nil
	}
	for _, other := range h.others {
		if all, otherErr := s.readFrom(ctx, other, h.Records); otherErr == nil {
			return other, all, nil
		}
	}
	return h.extent, nil, err
}

func (s *Survey) readFrom(ctx context.Context, extent messages.Extent, count uint32) ([]ExportedRecord, error) {
	frame, err := s.frames.Read(ctx, extent)
	if err != nil {
		return nil, err
	}
	all, err := records(frame)
	if err == nil && len(all) != int(count) {
		err = fmt.Errorf("the batch has %d records, its head says %d", len(all), count)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// records decodes a batch frame.
func records(frame []byte) ([]ExportedRecord, error) {
	reader, err := protocol.NewFrameReader(frame)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var all []ExportedRecord
	for r, ok := reader.Next(); ok; r, ok = reader.Next() {
		var record ExportedRecord
		for _, h := range r.Headers {
			var header ExportedHeader
			header.Name, header.NameBase64 = text(h.Name)
			header.Value, header.ValueBase64 = text(h.Value)
			record.Headers = append(record.Headers, header)
		}
		if utf8.Valid(r.Value) {
			record.Value = new(string(r.Value))
		} else {
			record.ValueBase64 = r.Value
		}
		all = append(all, record)
	}
	return all, reader.Err()
}

// text returns a string as it may stand in JSON: as it is, or as bytes.
func text(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}
