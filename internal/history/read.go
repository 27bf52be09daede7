package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// rereadPause is the time before content is read again that does not match its checksum, or is
// not there.
const rereadPause = 50 * time.Millisecond

// lost is why a range of an object cannot be read, if another read would not change that.
type lost struct{ reason error }

func (l *lost) Error() string { return l.reason.Error() }

// parts returns how a Reader reads parts of objects.
func (r *Reader) parts() archive.Parts { return r.readPart }

// readPart reads a part of an object and decodes it. If the content is malformed, or the object
// does not have the part, it is read again, because the store or the way to it may be at fault. The
// error is a *lost after objectstore.Reads reads with the same result.
func (r *Reader) readPart(ctx context.Context, p archive.Part, decode func([]byte) error) error {
	var altered objectstore.Altered
	var absences int
	for reads := 1; ; reads++ {
		content, err := r.readRange(ctx, p.Key, p.Offset, p.Length)
		switch {
		case err == nil:
			if err = decode(content); err == nil || !errors.Is(err, protocol.ErrMalformed) {
				return err
			}
			if altered.Add(content) {
				return &lost{err}
			}
			err = fmt.Errorf("it is altered on the way from the object store: %w", err)
			r.config.Altered(err)
		case isAbsent(err):
			if absences++; absences >= objectstore.Reads {
				return &lost{err}
			}
		default:
			return err
		}
		if reads >= objectstore.Reads {
			return fmt.Errorf("read %q: %w", p.Key, err)
		}
		if !pause(ctx, rereadPause) {
			return context.Cause(ctx)
		}
		ctx = objectstore.WithNewConnection(ctx)
	}
}

// readRange reads a range of an object, within the time of a request.
func (r *Reader) readRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	select {
	case r.requests <- struct{}{}:
		defer func() { <-r.requests }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	attempt, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	content, err := r.config.Store.ReadRange(attempt, key, offset, length)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil && !isAbsent(err) {
		r.config.Failed(err)
	}
	return content, err
}

// isAbsent reports whether the store says that an object is missing, or does not have a range.
func isAbsent(err error) bool {
	_, corrupt := errors.AsType[*objectstore.CorruptError](err)
	return corrupt || errors.Is(err, objectstore.ErrNotFound)
}

// pause waits. It returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
