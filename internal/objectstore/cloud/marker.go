package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"

	"laneway.dev/internal/objectstore"
)

// maxMarker bounds what is read of a marker, in bytes.
const maxMarker = 4096

// Mark implements objectstore.Store. The marker is looked up first, so that a server that
// ignores conditions does not replace one, unless two clusters mark the store at the same
// time. Unlike the put of an object, this put is repeated: the marker has only one key, and the
// caller reads it when it exists.
func (s *store) Mark(ctx context.Context, text []byte) error {
	_, err := s.readMarker(ctx)
	switch {
	case err == nil:
		err = objectstore.ErrExists
	case errors.Is(err, objectstore.ErrNotFound):
		_, err = retry(ctx, s, func() (struct{}, error) {
			return struct{}{}, s.bucket.put(ctx, s.markerKey(), newPayload([][]byte{text}))
		})
	}
	if err != nil {
		return fmt.Errorf("write the marker %s: %w", s.markerKey(), err)
	}
	return nil
}

// Marker implements objectstore.Store.
func (s *store) Marker(ctx context.Context) ([]byte, error) {
	text, err := s.readMarker(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the marker %s: %w", s.markerKey(), err)
	}
	return text, nil
}

// readMarker returns the marker. A body that is cut off is read again, because there is no
// checksum that would show it.
func (s *store) readMarker(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return retry(ctx, s, func() ([]byte, error) {
		attempt, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		found, err := s.bucket.get(attempt, s.markerKey(), 0, -1)
		if err != nil {
			return nil, err
		}
		defer found.body.Close()
		text, err := io.ReadAll(io.LimitReader(found.body, maxMarker))
		if err == nil && int64(len(text)) < min(found.length, maxMarker) {
			err = io.ErrUnexpectedEOF
		}
		return text, err
	})
}
