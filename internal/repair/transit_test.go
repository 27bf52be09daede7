package repair

import (
	"context"
	"testing"

	"laneway.dev/internal/objectstore"
)

// flipping is a store that alters the first byte of each object in the first read of it.
type flipping struct {
	objectstore.Store
	done map[string]bool // keys of objects
}

func (f *flipping) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	content, err := f.Store.ReadRange(ctx, key, offset, length)
	if err == nil && !f.done[key] && offset == 0 {
		f.done[key] = true
		content[0] ^= 1
	}
	return content, err
}

func TestObjectsThatAreAlteredInTransitAreExported(t *testing.T) {
	w := newWorld(t)
	w.stage(w.batch(0, "a", 1), w.batch(0, "a", 2))
	w.store = &flipping{w.store, make(map[string]bool)}
	survey := w.inspect(0)
	if damaged := survey.Report.Store.Damaged; len(damaged) > 0 {
		t.Errorf("damaged are %+v", damaged)
	}
	if lines, _ := w.export(survey); tickets(lines) != "0:a1 0:a2" {
		t.Errorf("exported are %q", tickets(lines))
	}
}
