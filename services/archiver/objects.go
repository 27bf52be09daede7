package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
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
	key, err := newKey(generation, time.Now(), nil)
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

// read returns a range of an object, and repeats requests that fail. Content for which check
// returns an error is read again, until it is the same in several reads.
func (w *worker) read(ctx context.Context, key string, offset, length int64, check func([]byte) error) ([]byte, error) {
	tries := newPatience(w.patience)
	var altered objectstore.Altered
	absences := 0
	for {
		content, err := w.readOnce(ctx, key, offset, length)
		if err == nil {
			if err = check(content); err == nil {
				return content, nil
			}
			err = fmt.Errorf("object %q: %w", key, err)
			if errors.Is(err, layout.ErrVersion) || altered.Add(content) {
				err = final{err}
			}
		} else if objectstore.IsDamage(err) {
			if absences++; absences == objectstore.Reads {
				err = final{err}
			}
		}
		if err := tries.wait(ctx, err); err != nil {
			return nil, err
		}
		ctx = objectstore.WithNewConnection(ctx)
	}
}

func (w *worker) readOnce(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime(length))
	defer cancel()
	return w.store.ReadRange(ctx, key, offset, length)
}

// readManifest reads and checks a manifest.
func (w *worker) readManifest(ctx context.Context, key string) (*manifest.Manifest, error) {
	length := int64(0)
	_, err := w.read(ctx, key, 0, manifest.HeadSize, func(head []byte) (err error) {
		length, err = manifest.ParseHead(head)
		return err
	})
	if err != nil {
		return nil, err
	}
	var m *manifest.Manifest
	_, err = w.read(ctx, key, 0, length, func(content []byte) (err error) {
		m, err = manifest.Decode(key, content)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// same returns a check that reads an object back and compares it.
func (w *worker) same(want *[]byte) func(ctx context.Context, key string) error {
	return func(ctx context.Context, key string) error {
		_, err := w.read(ctx, key, 0, int64(len(*want)), func(content []byte) error {
			if !bytes.Equal(content, *want) {
				return errors.New("its content is not what was stored")
			}
			return nil
		})
		return err
	}
}
