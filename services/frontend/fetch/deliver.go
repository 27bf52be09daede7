package fetch

import (
	"errors"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

var errUndeliverable = protocol.NewError(protocol.CodeUndeliverable, "")

// deliver sends a batch, or as much of it as was asked for.
func (f *fetch) deliver(l loaded) error {
	if l.gap > 0 {
		return f.tellGap(l.batch)
	}
	if f.request.Frames {
		return f.deliverFrame(l)
	}
	return f.deliverRecords(l)
}

func (f *fetch) deliverFrame(l loaded) error {
	f.spend(len(l.payload))
	if err := f.out.frame(l); err != nil {
		return err
	}
	records := l.next() - max(l.offset, f.cursor.offset)
	f.cursor.offset = l.next()
	f.delivered(records, len(l.payload))
	return nil
}

func (f *fetch) deliverRecords(l loaded) error {
	frame, err := protocol.NewFrameReader(l.payload)
	if err != nil {
		return corrupt(l, err.Error())
	}
	defer frame.Close()
	if frame.Records() != int(l.records) {
		return corrupt(l, "its number of records is not that of the log")
	}
	offset := l.offset
	for record, ok := frame.Next(); ok; record, ok = frame.Next() {
		if offset >= f.cursor.offset {
			if f.request.MaxBytes > 0 && f.count > 0 && f.bytes+int64(len(record.Value)) > f.request.MaxBytes {
				f.full = true
			}
			if f.full {
				return nil
			}
			f.spend(len(record.Value))
			err := f.out.record(l, offset, record)
			if errors.Is(err, errUndeliverable) {
				f.cursor.offset = offset + 1 // the consumer knows the offset, and can go on behind it
			}
			if err != nil {
				return err
			}
			f.cursor.offset = offset + 1
			f.delivered(1, len(record.Value))
		}
		offset++
	}
	if frame.Err() != nil {
		return corrupt(l, frame.Err().Error())
	}
	return nil
}

// spend takes the credit for a message, before it is sent: its credit may be
// granted before the sending returns, and would be more than the window.
func (f *fetch) spend(bytes int) {
	if f.account != nil {
		f.account.spend(int64(bytes))
		f.pace.sent = time.Now()
		f.pace.unheard++
	}
}

// delivered counts a message that was sent.
func (f *fetch) delivered(records int64, bytes int) {
	f.records += records
	f.bytes += int64(bytes)
	f.count++
	f.sent.Store(true)
	f.server.messages.Add(1)
	f.server.bytes.Add(uint64(bytes))
	f.full = f.request.MaxRecords > 0 && f.records >= f.request.MaxRecords ||
		f.request.MaxBytes > 0 && f.bytes >= f.request.MaxBytes ||
		f.request.WindowBytes == 0 && f.count >= maxMessages
}

// corrupt is the error for a payload that has the right CRC but not the
// content that the log promises.
func corrupt(l loaded, reason string) error {
	return protocol.NewError(protocol.CodeCorrupt, (&objectstore.CorruptError{
		Key: l.extent.Key, Offset: l.extent.Offset, Length: l.extent.Length, Reason: reason,
	}).Error())
}
