package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/objectstore"
)

// requestTime returns how long a request for so many bytes may take. Each MiB has a second more.
func requestTime(bytes int64) time.Duration {
	return 30*time.Second + time.Duration(bytes>>20)*time.Second
}

// errReread marks an object that was stored and cannot be read back as it should be.
var errReread = errors.New("what was stored cannot be read back")

// newKey returns a new key of one kind.
type newKey func(generation uint64, now time.Time, entropy io.Reader) (string, error)

// maxRereads bounds the puts of an object that was stored and cannot be read back. Each one leaves
// an object behind.
const maxRereads = 3

// put stores an object under a key of its own, and reads it back with check. After a failure that
// may pass, it builds and stores the object again, under another key: the first one may have an
// object by now, or get one later.
func (w *worker) put(ctx context.Context, newKey newKey, build func(key string) ([][]byte, error), check func(ctx context.Context, key string) error) (string, error) {
	tries := newPatience(w.patience)
	for rereads := 0; ; {
		key, err := w.putOnce(ctx, newKey, build, check)
		if err == nil {
			return key, nil
		}
		if errors.Is(err, errReread) {
			if rereads++; rereads == maxRereads {
				err = final{err}
			}
		}
		if ctx.Err() == nil {
			w.log.Warn("an object of an archive could not be stored", zap.String("key", key), zap.Error(err))
		}
		if err := tries.wait(ctx, err); err != nil {
			return "", err
		}
	}
}

func (w *worker) putOnce(ctx context.Context, newKey newKey, build func(key string) ([][]byte, error), check func(ctx context.Context, key string) error) (string, error) {
	key, err := newKey(w.generation.Newest(), time.Now(), nil)
	if err != nil {
		return "", final{err}
	}
	parts, err := build(key)
	if err != nil {
		return key, final{err}
	}
	size := int64(0)
	for _, part := range parts {
		size += int64(len(part))
	}
	attempt, cancel := context.WithTimeout(ctx, requestTime(size))
	defer cancel()
	if err := w.store.Put(attempt, key, parts); err != nil {
		if !objectstore.Passing(err) && attempt.Err() == nil {
			err = final{err}
		}
		return key, err
	}
	if err := check(ctx, key); err != nil {
		return key, fmt.Errorf("%w: %s", errReread, err.Error()) // another put may be better, whatever it is
	}
	return key, nil
}

// parts returns how a worker reads parts of objects.
func (w *worker) parts() archive.Parts { return w.read }

// read reads a part of an object, and repeats requests that fail. Content for which check returns an
// error is read again, until it is the same in several reads.
func (w *worker) read(ctx context.Context, p archive.Part, check func([]byte) error) error {
	tries := newPatience(w.patience)
	var altered objectstore.Altered
	absences := 0
	for {
		content, err := w.readOnce(ctx, p)
		if err == nil {
			if err = check(content); err == nil {
				return nil
			}
			err = fmt.Errorf("object %q: %w", p.Key, err)
			if errors.Is(err, layout.ErrVersion) || altered.Add(content) {
				err = final{err}
			}
		} else if objectstore.IsDamage(err) {
			if absences++; absences == objectstore.Reads {
				err = final{err}
			}
		}
		if err := tries.wait(ctx, err); err != nil {
			return err
		}
		ctx = objectstore.WithNewConnection(ctx)
	}
}

func (w *worker) readOnce(ctx context.Context, p archive.Part) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime(p.Length))
	defer cancel()
	return w.store.ReadRange(ctx, p.Key, p.Offset, p.Length)
}

// same returns a check that reads an object back and compares it.
func (w *worker) same(want *[]byte) func(ctx context.Context, key string) error {
	return func(ctx context.Context, key string) error {
		return w.read(ctx, archive.Part{Key: key, Length: int64(len(*want))}, func(content []byte) error {
			if !bytes.Equal(content, *want) {
				return errors.New("its content is not what was stored")
			}
			return nil
		})
	}
}
