package fetch

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// compressedLog has batches of two records of size bytes each, compressed.
func compressedLog(c protocol.Compression, batches, size int) *modelLog {
	l := newLog()
	for range batches {
		r := protocol.Record{Value: bytes.Repeat([]byte{'x'}, size)}
		l.commitRecords([]protocol.Record{r, r})
		offset := l.next - 2
		frame, ok := protocol.CompressFrame(nil, l.payloads[offset].Bytes, c)
		if !ok {
			panic("the frame is not shorter")
		}
		l.payloads[offset] = Payload{Bytes: frame}
		l.entries[len(l.entries)-1].Batches[0].Extent.Length = int64(len(frame))
	}
	return l
}

func TestFramesStayCompressedForConsumersThatAcceptThem(t *testing.T) {
	for accept, want := range map[string]map[protocol.Compression]bool{
		``:                        {},
		`,"accept":[]`:            {},
		`,"accept":["zstd"]`:      {protocol.CompressionZstd: true},
		`,"accept":["lz4","s2"]`:  {protocol.CompressionS2: true},
		`,"accept":["s2","zstd"]`: {protocol.CompressionS2: true, protocol.CompressionZstd: true},
		`,"accept":["none","S2"]`: {},
	} {
		for _, c := range protocol.Compressions() {
			t.Run(string(c)+accept, func(t *testing.T) {
				log := compressedLog(c, 2, 1000)
				r := newRig(t, log, `{"offset":1,"frames":true`+accept+`}`)
				stored := log.payloads[0].Bytes
				plain, err := protocol.PlainFrame(stored)
				if err != nil {
					t.Fatal(err)
				}
				sent, unpack := plain, true
				if want[c] {
					sent = stored
				}
				unpack = len(want) < 2
				r.saw = func(m *Message) {
					if m.Status == nil && !bytes.Equal(m.Data, sent) {
						t.Errorf("a frame of %d bytes, want %d", len(m.Data), len(sent))
					}
				}
				r.asks = func(q Question) {
					if l, ok := q.(Load); ok && l.Unpack != unpack {
						t.Errorf("unpack is %t", l.Unpack)
					}
				}
				r.expect("[0 +2]; [2 +2]; 204 next 4 of 4")
			})
		}
	}
}

func TestSingleRecordsAreNeverCompressed(t *testing.T) {
	value := strings.Repeat("x", 1000)
	for _, c := range protocol.Compressions() {
		r := newRig(t, compressedLog(c, 2, 1000), `{"offset":1,"accept":["s2","zstd"]}`)
		r.asks = func(q Question) {
			if l, ok := q.(Load); ok && !l.Unpack {
				t.Error("unpack is not set")
			}
		}
		r.expect(value + "; " + value + "; " + value + "; 204 next 4 of 4")
	}
}

// A window of 1,000 bytes would hold all of the compressed batches, but is exceeded by one
// batch at most.
func TestCreditCountsDecompressedBytes(t *testing.T) {
	for _, frames := range []bool{false, true} {
		t.Run(fmt.Sprintf("frames %t", frames), func(t *testing.T) {
			r := newRig(t, compressedLog(protocol.CompressionZstd, 10, 5000), fmt.Sprintf(`{"offset":0,"window_bytes":1000,"frames":%t}`, frames))
			sent, loads := 0, 0
			r.saw = func(m *Message) { sent += len(m.Data) }
			r.asks = func(q Question) {
				if _, ok := q.(Load); ok {
					loads++
				}
			}
			for n := range 10 {
				before := sent
				r.run(word(fmt.Sprint(before)))
				if got := sent - before; got < 10_000 || got > 10_100 {
					t.Fatalf("round %d: %d bytes were sent", n, got)
				}
				if n == 0 {
					r.events = nil
				}
			}
			if r.run(word(fmt.Sprint(sent))); r.last == nil || r.last.Code != protocol.StatusEnd || r.last.Next != 20 {
				t.Errorf("the end is %+v", r.last)
			}
			if loads > 12 {
				t.Errorf("%d loads of 10 batches", loads)
			}
		})
	}
}

func TestMaxBytesCountsDecompressedBytes(t *testing.T) {
	for request, want := range map[string]string{
		`{"offset":0,"frames":true,"max_bytes":11000}`:                   "[0 +2]; 204 next 2 of 8",
		`{"offset":0,"frames":true,"max_bytes":21000}`:                   "[0 +2]; [2 +2]; 204 next 4 of 8",
		`{"offset":0,"frames":true,"max_bytes":11000,"accept":["zstd"]}`: "[0 +2]; [2 +2]; [4 +2]; [6 +2]; 204 next 8 of 8",
		`{"offset":0,"frames":true,"max_bytes":1}`:                       "[0 +2]; 204 next 2 of 8",
	} {
		t.Run(request, func(t *testing.T) {
			newRig(t, compressedLog(protocol.CompressionZstd, 4, 5000), request).expect(want)
		})
	}
}

// A step holds what it sends in memory.
func TestStepDecompressesABoundedAmount(t *testing.T) {
	for _, frames := range []bool{false, true} {
		r := newRig(t, compressedLog(protocol.CompressionS2, 8, 1<<20), fmt.Sprintf(`{"offset":0,"max_bytes":60000000,"frames":%t}`, frames))
		r.run(Moved{})
		if r.last == nil || r.last.Next != 16 {
			t.Fatalf("the end is %+v", r.last)
		}
		if r.most > MaxRange+2<<20+100 {
			t.Errorf("a step sends %d bytes", r.most)
		}
	}
}

func TestDamagedCompressedFrameIsCorrupt(t *testing.T) {
	for _, request := range []string{`{"offset":0}`, `{"offset":0,"frames":true}`} {
		log := compressedLog(protocol.CompressionZstd, 2, 1000)
		damaged := bytes.Clone(log.payloads[2].Bytes)
		clear(damaged[30:])
		log.payloadOf(2, Payload{Bytes: damaged})
		out := newRig(t, log, request).run()
		if !strings.HasSuffix(out, "CORRUPT 2-3 next 4 of 4") {
			t.Errorf("%s: %.60q", request, out)
		}
	}
}

// blockLog is a log of single records in blocks of a few records, of which each is bytes long
// when it is decompressed.
func blockLog(records, per int, bytes uint32) *modelLog {
	l := newLog()
	for i := range records {
		l.commit(1)
		x := &l.entries[len(l.entries)-1].Batches[0].Extent
		x.Block = messages.InBlock{Codec: protocol.CompressionS2, Bytes: bytes, Start: uint32(i), Length: uint32(x.Length)}
		x.Key, x.Offset, x.Length = fmt.Sprint("block ", i/per), 0, 1
	}
	return l
}

func TestLoadHoldsABoundedAmountOfBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		log  *modelLog
		want string
	}{
		"records of few blocks":          {blockLog(200, 100, MaxRange/2), "[200]"},
		"a block for each record":        {blockLog(20, 1, MaxRange/8), "[8 8 4]"},
		"blocks beyond the limit":        {blockLog(4, 2, MaxRange+1), "[2 2]"},
		"half of the limit and one byte": {blockLog(6, 2, MaxRange/2+1), "[2 2 2]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.log, `{"offset":0}`)
			var loads []int
			r.asks = func(q Question) {
				if l, ok := q.(Load); ok {
					loads = append(loads, len(l.Extents))
				}
			}
			r.run(Moved{})
			if got := fmt.Sprint(loads); got != c.want {
				t.Errorf("loads of %s batches, want %s", got, c.want)
			}
		})
	}
}
