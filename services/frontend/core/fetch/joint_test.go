package fetch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"laneway.dev/pkg/protocol"
)

// joins lets the fetch send batches together in frames of so many bytes.
func (r *rig) joins(bytes int) *rig {
	r.core.joinBytes = bytes
	return r
}

func TestShortBatchesOfAnEntryAreSentTogether(t *testing.T) {
	for name, c := range map[string]struct {
		request, want string
		joinBytes     int
	}{
		"all of an entry":                {`{"offset":0,"frames":true,"window_bytes":1000}`, "[0 +4]; [4 +2]; 110 6-7 next 8 of 9; [8 +1]; 204 next 9 of 9", 1000},
		"from within the first":          {`{"offset":1,"frames":true,"window_bytes":1000}`, "[0 +4]; [4 +2]; 110 6-7 next 8 of 9; [8 +1]; 204 next 9 of 9", 1000},
		"as many as the size allows":     {`{"offset":0,"frames":true,"window_bytes":1000}`, "[0 +3]; [3 +1]; [4 +2]; 110 6-7 next 8 of 9; [8 +1]; 204 next 9 of 9", 30},
		"none":                           {`{"offset":0,"frames":true,"window_bytes":1000}`, "[0 +2]; [2 +1]; [3 +1]; [4 +1]; [5 +1]; 110 6-7 next 8 of 9; [8 +1]; 204 next 9 of 9", 0},
		"no more than the credit allows": {`{"offset":0,"frames":true,"window_bytes":20}`, "[0 +2]; [2 +1]", 1000},
		"no more records than wanted":    {`{"offset":0,"frames":true,"window_bytes":1000,"max_records":3}`, "[0 +3]; 204 next 3 of 9", 1000},
		"none with a limit of bytes":     {`{"offset":0,"frames":true,"max_bytes":40}`, "[0 +2]; [2 +1]; 204 next 3 of 9", 1000},
		"no single records":              {`{"offset":3,"window_bytes":1000}`, "3; 4; 5; 110 6-7 next 8 of 9; 8; 204 next 9 of 9", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			log := logOf([]int{2, 1, 1}, []int{1, 1})
			log.skip(2)
			log.commit(1)
			r := newRig(t, log, c.request).joins(c.joinBytes)
			r.saw = func(m *Message) {
				next := m.Offset
				for _, record := range decode(t, m) {
					if string(record.Value) != fmt.Sprint(next) {
						t.Errorf("offset %d has the value %q", next, record.Value)
					}
					next++
				}
			}
			r.advance()
			r.expect(c.want)
		})
	}
}

// decode returns the records of a frame.
func decode(t *testing.T, m *Message) (records []protocol.Record) {
	t.Helper()
	if m.Records == 0 {
		return nil
	}
	f, err := protocol.NewFrameReader(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for record, ok := f.Next(); ok; record, ok = f.Next() {
		records = append(records, record)
	}
	if f.Err() != nil || len(records) != int(m.Records) {
		t.Fatalf("%d records of %d at offset %d: %v", len(records), m.Records, m.Offset, f.Err())
	}
	return records
}

func TestJointFrameLeavesPayloadsAlone(t *testing.T) {
	log := logOf([]int{1, 1, 1})
	before := make(map[int64][]byte)
	for offset, p := range log.payloads {
		before[offset] = slices.Clone(p.Bytes)
	}
	r := newRig(t, log, `{"offset":0,"frames":true,"window_bytes":1000}`).joins(1000)
	r.advance()
	r.expect("[0 +3]; 204 next 3 of 3")
	for offset, p := range log.payloads {
		if string(before[offset]) != string(p.Bytes) {
			t.Errorf("the payload at offset %d has changed", offset)
		}
	}
}

func TestJointFrameCostsItsLength(t *testing.T) {
	log := logOf([]int{1, 1, 1}, []int{1})
	r := newRig(t, log, `{"offset":0,"frames":true,"window_bytes":40,"follow":true}`).joins(1000)
	sent := 0
	r.saw = func(m *Message) { sent += len(m.Data) }
	r.advance()
	r.run()
	if got := 40 - r.core.pace.credit(); got != int64(sent) {
		t.Errorf("%d bytes were sent and cost %d", sent, got)
	}
}

func TestOddBatchIsSentAlone(t *testing.T) {
	compressed, ok := protocol.CompressFrame(nil, frameOf(strings.Repeat("x", 1000)), protocol.CompressionS2)
	if !ok {
		t.Fatal("it was not compressed")
	}
	for name, payload := range map[string][]byte{
		"another number of records":               frameOf("x", "y"),
		"compressed, and the consumer accepts it": compressed,
	} {
		t.Run(name, func(t *testing.T) {
			log := logOf([]int{1, 1, 1, 1, 1})
			log.payloadOf(2, Payload{Bytes: payload})
			r := newRig(t, log, `{"offset":0,"frames":true,"accept":["s2"],"window_bytes":1000}`).joins(1000)
			r.advance()
			r.expect("[0 +2]; [2 +1]; [3 +2]; 204 next 5 of 5")
		})
	}
}

func TestUnpackedBatchesAreSentTogether(t *testing.T) {
	log := compressedLog(protocol.CompressionZstd, 3, 1000)
	for i := range log.entries {
		log.entries[i].Time = log.entries[0].Time
	}
	r := newRig(t, log, `{"offset":0,"frames":true,"window_bytes":100000}`).joins(5000)
	records := 0
	r.saw = func(m *Message) { records += len(decode(t, m)) }
	r.advance()
	r.expect("[0 +4]; [4 +2]; 204 next 6 of 6")
	if records != 6 {
		t.Errorf("%d records, want 6", records)
	}
}

func frameOf(values ...string) []byte {
	var b protocol.FrameBuilder
	for _, v := range values {
		b.Append(protocol.Record{Value: []byte(v)})
	}
	return b.Take()
}

func TestJointFrameThatFailsIsNotCounted(t *testing.T) {
	r := newRig(t, logOf([]int{1, 1}, []int{1, 1}), `{"offset":0,"frames":true,"window_bytes":1000}`).joins(1000)
	r.fails = func(m *Message) *protocol.Error {
		if m.Offset == 2 {
			return protocol.NewError(protocol.CodeUnavailable, "no connection")
		}
		return nil
	}
	r.advance()
	r.expect("[0 +2]; UNAVAILABLE next 2 of 4")
}
