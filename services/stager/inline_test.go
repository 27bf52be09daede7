package stager

import (
	"errors"
	"fmt"
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// crowded is a store without room.
type crowded struct{ objectstore.Store }

func (crowded) Room() error { return fmt.Errorf("%w: 5 bytes are free", objectstore.ErrFull) }

// broken is a store of which nobody knows whether it has room.
type broken struct{ objectstore.Store }

func (broken) Room() error { return errors.New("the file system does not answer") }

func TestBatchesAreUploadedWhileTheStoreHasNoRoom(t *testing.T) {
	for name, c := range map[string]struct {
		store  func(objectstore.Store) objectstore.Store
		inline bool
	}{
		"room":    {func(s objectstore.Store) objectstore.Store { return s }, true},
		"full":    {func(s objectstore.Store) objectstore.Store { return crowded{s} }, false},
		"unknown": {func(s objectstore.Store) objectstore.Store { return broken{s} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start(Config{Store: c.store(w.store)})
			b := batch("a", 1, 100)
			b.Inline = true
			w.send(stage(orders0, b))
			if m := answer[messages.Staged](w); len(m.Batches) != 1 || (len(m.Batches[0].Inline) > 0) != c.inline {
				t.Errorf("staged is %+v, want inline: %t", m.Batches, c.inline)
			}
			w.stop(s)
		})
	}
}
