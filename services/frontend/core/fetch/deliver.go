package fetch

import (
	"fmt"
	"math"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// load asks for the payloads of the next batches: as many as the limits and the credit
// allow, and at least one. It returns true if the fetch waits because the consumer has no
// credit, or until a failed load is repeated.
//
// Credit is checked per batch and not per byte: a batch is sent while any credit is left.
// Example: with a window of 1 MiB and a batch of 4 MiB, the batch is sent and the credit is
// −3 MiB. The next batch follows when the consumer has granted more than 3 MiB. Without
// this rule a batch above the window would never be sent.
func (c *Core) load(now time.Time) (waits bool) {
	if now.Before(c.retry.at) {
		return c.waitForStore(now, c.retry.at)
	}
	bytes, records := int64(MaxRange), int64(math.MaxInt64)
	if c.request.Paced() {
		if !c.pace.mayReceive() {
			return c.wait(now, time.Time{})
		}
		bytes = min(bytes, c.pace.credit())
	}
	if c.request.MaxBytes > 0 {
		left := c.request.MaxBytes - c.bytes
		if c.request.Frames && c.messages > 0 && c.queue[0].extent.FrameLength() > left {
			c.full = true
			return false
		}
		bytes = min(bytes, left)
	}
	if c.request.MaxRecords > 0 {
		records = c.request.MaxRecords - c.records
	}
	if c.queue[0].isLost() {
		c.failBatch(&c.queue[0], errNotArchived)
		return false
	}
	c.wanted = 0
	var extents []messages.Extent
	blocks := blocks{limit: MaxRange}
	for i := range c.queue {
		next := &c.queue[i]
		length := next.extent.FrameLength() * c.growth
		if i > 0 && (i >= maxLoad || length > bytes || records <= 0 || !c.mayFollow(next, &blocks)) {
			break
		}
		c.wanted++
		if next.gap == 0 {
			bytes -= length
			records -= next.next() - max(next.offset, c.offset)
		}
		if next.isStored() {
			extents = append(extents, next.extent)
			blocks.add(next.extent)
		}
	}
	if len(extents) == 0 {
		c.loaded = c.wanted
	} else {
		c.reads = 0
		next, beyond := c.ahead(extents, &blocks, records)
		c.ask(loading, Load{extents, c.request.mayUnpack(), next, beyond})
	}
	return false
}

// mayFollow reports whether a batch is loaded together with those before it.
func (c *Core) mayFollow(b *batch, blocks *blocks) bool {
	return c.retry.failures == 0 && !b.isLost() && blocks.fit(b.extent)
}

// ahead returns the extents that the fetch loads next if its consumer keeps up, and how many bytes
// it loads in all, at most. records is how many more records the fetch may send after those of the
// wanted extents, and loaded are the blocks of these.
func (c *Core) ahead(wanted []messages.Extent, loaded *blocks, records int64) (extents []messages.Extent, beyond int64) {
	if c.retry.failures > 0 {
		return nil, 0
	}
	bytes := int64(MaxAhead)
	if c.request.WindowBytes > 0 {
		bytes = min(bytes, 2*c.request.WindowBytes)
	}
	if c.request.MaxBytes > 0 {
		bytes = min(bytes, c.request.MaxBytes-c.bytes)
		for _, x := range wanted {
			bytes -= x.FrameLength()
		}
	}
	if beyond = c.beyond(); c.request.MaxBytes > 0 {
		beyond = min(beyond, max(bytes, 0))
	}
	blocks := blocks{limit: MaxAhead}
	for i := c.wanted; i < len(c.queue) && len(extents) < maxAhead; i++ {
		next := &c.queue[i]
		if bytes -= next.extent.FrameLength(); bytes < 0 || next.isLost() || records <= 0 || !blocks.fit(next.extent) {
			break
		}
		if next.isStored() && !loaded.has(next.extent) {
			extents = append(extents, next.extent)
			blocks.add(next.extent)
		}
		records -= int64(next.records)
		if c.request.MaxRecords > 0 && next.gap == 0 {
			beyond += next.extent.FrameLength()
		}
	}
	return extents, beyond
}

// beyond returns how many bytes of a segment the fetch loads from where it is, at most, if its
// consumer keeps up. It is 0 if the number of records bounds the fetch, because they may be few bytes.
func (c *Core) beyond() int64 {
	if c.request.MaxRecords > 0 || c.retry.failures > 0 {
		return 0
	}
	bytes := int64(MaxBeyond)
	if c.request.WindowBytes > 0 {
		bytes = min(bytes, 4*c.request.WindowBytes)
	}
	if c.request.MaxBytes > 0 {
		bytes = min(bytes, c.request.MaxBytes-c.bytes)
	}
	return bytes
}

// deliver sends the next batch or gap, or the part of a batch that fits into this step.
func (c *Core) deliver(now time.Time) {
	b := &c.queue[0]
	payload := c.payload(b)
	switch {
	case b.gap > 0:
		c.sendGap(b, now)
	case isCorrupt(payload.Err):
		c.storeDone()
		c.verify(nil, Failed{Err: payload.Err})
		return
	case payload.Err != nil:
		c.loadFailed(payload.Err, now)
		return
	case c.request.Frames:
		if !c.sendFrame(b, payload.Bytes, now) {
			return
		}
	case !c.sendRecords(b, payload.Bytes, now):
		return
	}
	if b.isStored() {
		c.payloads = c.payloads[1:]
		c.storeDone()
	}
	c.queue = c.queue[1:]
	if c.loaded--; c.loaded == 0 {
		c.payloads = nil
	}
}

// payload returns the payload of the next batch, which is loaded or inline; none of a gap.
func (c *Core) payload(b *batch) Payload {
	switch {
	case b.gap > 0:
		return Payload{}
	case b.isStored():
		return c.payloads[0]
	case c.frame != nil: // it was checked when its first record was sent
		return Payload{Bytes: b.inline.Inline}
	}
	frame, err := b.inline.InlineFrame()
	if err != nil {
		return Payload{Err: protocol.Errorf(protocol.CodeCorrupt, "entry %d of log %s: %v", b.sequence, messages.LogName(c.partition), err)}
	}
	return Payload{Bytes: frame}
}

// sendGap reports offsets without records.
func (c *Core) sendGap(b *batch, now time.Time) {
	from := max(b.offset, c.offset)
	s := c.status(protocol.StatusGap, fmt.Sprintf("the offsets %d to %d hold no records: they were reserved when the owner of the log crashed, "+
		"or were given up with: laneway topic repair", from, b.next()-1))
	s.GapFrom, s.GapTo, s.Next = from, b.next()-1, b.next()
	c.send(Message{Status: s}, now)
	c.offset = b.next()
}

// sendFrame sends a whole batch. Its first record may be before the place of the fetch. It
// returns false if the frame is not sent now, or the fetch has ended.
func (c *Core) sendFrame(b *batch, frame []byte, now time.Time) bool {
	head, err := protocol.ReadFrameHead(frame)
	if err == nil && c.request.unpacks(head.Compression) {
		if !c.unpack(head, len(frame)) {
			return false
		}
		head.Compression = protocol.CompressionNone
		frame, err = protocol.PlainFrame(frame)
	}
	if err != nil {
		c.failBatch(b, notTheBatch(b, err.Error()))
		return false
	}
	// A batch with another number of records is left alone, so that the error of the consumer names
	// no other batch.
	plain := head.Compression == protocol.CompressionNone && head.Records == int(b.records)
	bytes := len(frame)
	if plain && c.mayJoin(b, bytes) {
		bytes = c.join(b, frame)
	} else {
		c.send(Message{Offset: b.offset, Time: b.time, Data: frame, Records: b.records, plain: plain}, now)
	}
	c.delivered(b.next()-max(b.offset, c.offset), bytes, b.next())
	return true
}

// mayJoin reports whether a batch is sent in the last message of the step. A message costs about as
// much as 10 KiB of content, at the frontend, in NATS and at the consumer, so short batches are
// sent together. They were committed at the same time, because a message names one. A request
// that limits the bytes gets a message for each batch: a joint frame may be some bytes longer than
// the frames of foreign producers in it.
func (c *Core) mayJoin(b *batch, bytes int) bool {
	n := len(c.fx.Send)
	if n == 0 || c.request.MaxBytes > 0 {
		return false
	}
	last := &c.fx.Send[n-1]
	return last.plain && last.Offset+int64(last.Records) == b.offset && last.Time.Equal(b.time) && len(last.Data)+bytes <= c.joinBytes
}

// join adds the records of a plain frame to the last message, and returns by how many bytes that has
// become longer.
func (c *Core) join(b *batch, frame []byte) (bytes int) {
	last := &c.fx.Send[len(c.fx.Send)-1]
	if c.joint.Records() == 0 {
		c.joint.Grow(c.joinable(len(last.Data)))
		c.joinFrame(last.Data)
	}
	c.joinFrame(frame)
	data := c.joint.Bytes()
	bytes = len(data) - len(last.Data)
	last.Data, last.Records = data, last.Records+b.records
	c.pace.spendMore(bytes)
	return bytes
}

// joinFrame cannot fail, because the head of the frame was read.
func (c *Core) joinFrame(frame []byte) { _ = c.joint.AppendPlain(frame) }

// joinable returns about how long a frame of so many bytes becomes with the next batches.
func (c *Core) joinable(bytes int) int {
	for i := range c.queue[:c.loaded] {
		b := &c.queue[i]
		length := int(b.extent.FrameLength())
		if !b.time.Equal(c.queue[0].time) || bytes+length > c.joinBytes {
			break
		}
		bytes += length
	}
	return bytes
}

// sendRecords sends the records of a batch. It returns false if there is more to send,
// or the fetch has ended.
func (c *Core) sendRecords(b *batch, payload []byte, now time.Time) bool {
	if c.frame == nil {
		head, err := protocol.ReadFrameHead(payload)
		if err == nil && c.request.unpacks(head.Compression) && !c.unpack(head, len(payload)) {
			return false
		}
		frame, err := protocol.NewFrameReader(payload)
		if err != nil {
			c.failBatch(b, notTheBatch(b, err.Error()))
			return false
		}
		c.frame, c.at = frame, b.offset
		if frame.Records() != int(b.records) {
			c.failBatch(b, notTheBatch(b, "its number of records differs from that in the log"))
			return false
		}
	}
	for len(c.fx.Send) < maxSend {
		record, ok := c.frame.Next()
		if !ok {
			return c.endOfBatch(b)
		}
		offset := c.at
		c.at++
		if offset < c.offset {
			continue
		}
		if c.request.MaxBytes > 0 && c.messages > 0 && c.bytes+int64(len(record.Value)) > c.request.MaxBytes {
			c.full = true
			return false
		}
		if err := deliverable(offset, record.Headers); err != nil {
			c.offset = offset + 1 // the error names the offset; the consumer can continue after it
			c.fail(err)
			return false
		}
		c.send(Message{Offset: offset, Time: b.time, Headers: record.Headers, Data: record.Value}, now)
		c.delivered(1, len(record.Value), offset+1)
		if c.full {
			return false
		}
	}
	return false
}

// endOfBatch checks that a batch was read to its end.
func (c *Core) endOfBatch(b *batch) bool {
	err := c.frame.Err()
	c.closeFrame()
	if err != nil {
		c.failBatch(b, notTheBatch(b, err.Error()))
	}
	return err == nil
}

func (c *Core) closeFrame() {
	if c.frame != nil {
		c.frame.Close()
		c.frame = nil
	}
}

// deliverable returns an error if a record cannot be sent exactly as it is stored. Laneway
// accepts no such record, but a log may have one from an earlier version.
func deliverable(offset int64, headers []protocol.Header) *protocol.Error {
	for _, h := range headers {
		if err := h.Check(); err != nil && h.Name != protocol.HeaderSubject {
			return protocol.Errorf(protocol.CodeUndeliverable, "offset %d: %s", offset, err.Detail)
		}
	}
	return nil
}

// send adds a message to the effects and spends its credit at once. If the credit were spent
// only after the shell has sent the message, the answer of the consumer could arrive before
// that. grant would then reduce the answer to the bytes spent until then.
func (c *Core) send(m Message, now time.Time) {
	if !c.started && c.request.Offset == nil {
		c.startedAt = c.offset
	}
	c.started = true
	if m.from, m.Start = c.offset, c.startedAt; m.Status != nil {
		m.Status.Start = c.startedAt
	}
	c.fx.Send = append(c.fx.Send, m)
	c.joint = protocol.FrameBuilder{}
	if m.Status == nil {
		c.messages++
	}
	if c.request.Paced() {
		c.pace.spend(len(m.Data), now)
	}
}

// delivered counts records that are in a message, and checks the limits of the request.
func (c *Core) delivered(records int64, bytes int, next int64) {
	c.offset, c.seen, c.moved = next, true, 0
	c.records += records
	c.bytes += int64(bytes)
	c.full = c.request.MaxRecords > 0 && c.records >= c.request.MaxRecords ||
		c.request.MaxBytes > 0 && c.bytes >= c.request.MaxBytes ||
		c.request.WindowBytes == 0 && c.messages >= MaxMessages
}
