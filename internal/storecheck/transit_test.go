package storecheck

import (
	"context"
	"testing"

	"laneway.dev/internal/objectstore"
)

// flipping is a store that alters a byte of each object in the first read that includes it.
type flipping struct {
	objectstore.Store
	at   int64
	done map[string]bool // keys of objects
}

func (f *flipping) Below(string) objectstore.Store { return f }

func (f *flipping) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	content, err := f.Store.ReadRange(ctx, key, offset, length)
	if at := f.at - offset; err == nil && !f.done[key] && at >= 0 && at < length {
		f.done[key] = true
		content[at] ^= 1
	}
	return content, err
}

func TestBitsThatFlipInTransitAreNotReported(t *testing.T) {
	w := newWorld(t)
	first := w.stage(2)[0].Extent
	w.stage(3)
	store := w.checker.Store.Store
	for name, at := range map[string]int64{"header": 3, "head": first.Offset - 1, "payload": first.Offset} {
		w.checker.Store.Store = &flipping{Store: store, at: at, done: make(map[string]bool)}
		if report := w.check(); report.Wrong() || report.Store.Batches != 5 {
			t.Errorf("a bit of the %s flips: the report is %+v, and the first damage %+v", name, report.Store, report.Damaged)
		}
	}
}
