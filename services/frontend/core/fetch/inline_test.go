package fetch

import (
	"testing"

	"laneway.dev/pkg/messages"
)

// inline moves the payloads of some batches, counted from 0, into the entries of the log.
func (l *modelLog) inline(which func(batch int) bool) *modelLog {
	batch := 0
	for i := range l.entries {
		e := &l.entries[i].Entry
		offset := e.BaseOffset
		for j := range e.Batches {
			b := &e.Batches[j]
			if which(batch) {
				b.Inline = l.payloads[offset].Bytes
				b.Extent = messages.InlineExtent(b.Inline)
				delete(l.payloads, offset)
			}
			offset += int64(b.Records)
			batch++
		}
	}
	return l
}

func TestInlineBatchesAreReadFromTheLog(t *testing.T) {
	for name, which := range map[string]func(batch int) bool{
		"all":    func(int) bool { return true },
		"first":  func(batch int) bool { return batch == 0 },
		"second": func(batch int) bool { return batch == 1 },
		"odd":    func(batch int) bool { return batch%2 == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			log := func() *modelLog {
				l := logOf([]int{2, 1}, []int{1, 3})
				l.skip(2)
				l.commit(1, 1)
				return l.inline(which)
			}
			for request, want := range map[string]string{
				`{"offset":0}`:                 "0; 1; 2; 3; 4; 5; 6; 110 7-8 next 9 of 11; 9; 10; 204 next 11 of 11",
				`{"offset":5}`:                 "5; 6; 110 7-8 next 9 of 11; 9; 10; 204 next 11 of 11",
				`{"offset":0,"frames":true}`:   "[0 +2]; [2 +1]; [3 +1]; [4 +3]; 110 7-8 next 9 of 11; [9 +1]; [10 +1]; 204 next 11 of 11",
				`{"offset":1,"max_records":4}`: "1; 2; 3; 4; 204 next 5 of 11",
				`{"offset":0,"max_bytes":4}`:   "0; 1; 2; 3; 204 next 4 of 11",
			} {
				r := newRig(t, log(), request)
				r.asks = func(q Question) {
					if load, is := q.(Load); is {
						for _, x := range append(load.Extents, load.Ahead...) {
							if x.Key == "" {
								t.Errorf("%s: loads %+v", request, x)
							}
						}
					}
				}
				r.advance()
				if got := r.run(); got != want {
					t.Errorf("%s: sent %q, want %q", request, got, want)
				}
			}
		})
	}
}

func TestCorruptInlineBatchIsNamed(t *testing.T) {
	log := logOf([]int{2, 1}, []int{1}).inline(func(batch int) bool { return batch == 1 })
	log.entries[0].Batches[1].Extent.CRC++
	r := newRig(t, log, `{"offset":0}`)
	r.advance()
	if got, want := r.run(), "0; 1; CORRUPT 2-2 next 3 of 4"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}
