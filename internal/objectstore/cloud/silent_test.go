package cloud

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
)

// silent is a bucket whose server sends the header of a response and then nothing.
type silent struct {
	*memory
	pages int           // of one object, before the one that does not come
	pause time.Duration // before each page
}

func (s *silent) list(ctx context.Context, prefix, token string) ([]objectstore.Listed, string, error) {
	page, _, err := s.memory.list(ctx, prefix, token)
	if err == nil && len(page) == 0 && token == "" {
		return nil, "", nil // there is nothing of this kind
	}
	if err != nil || s.pages == 0 {
		<-ctx.Done()
		return nil, "", ctx.Err()
	}
	s.pages--
	select {
	case <-time.After(s.pause):
		return page[:1], page[0].Key + "\x00", nil
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

func (s *silent) get(ctx context.Context, _ string, _, _ int64) (content, error) {
	return content{body: body{ctx}, length: 10, total: 10}, nil
}

// body is one that never comes.
type body struct{ ctx context.Context }

func (b body) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func (body) Close() error { return nil }

func TestAListEndsIfAPageDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages = 5 // together they take longer than one may
		bucket := &silent{memory: newMemory(), pages: pages, pause: answerTime * 3 / 4}
		for range pages {
			bucket.objects[storetest.NewKey(t)] = nil
		}
		listed := 0
		var err error
		for _, wrong := range newStore(bucket, "").List(t.Context(), "") {
			if wrong != nil {
				err = wrong
				continue
			}
			listed++
			<-time.After(2 * answerTime) // the caller may take its time
		}
		wantIs(t, err, objectstore.ErrUnreachable)
		if listed != pages {
			t.Errorf("%d objects are listed, want %d", listed, pages)
		}
	})
}

func TestAMarkerThatDoesNotComeIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := newStore(&silent{memory: newMemory()}, "").Marker(t.Context())
		wantIs(t, err, objectstore.ErrUnreachable)
	})
}
