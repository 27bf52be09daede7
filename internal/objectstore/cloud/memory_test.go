package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a bucket in memory. Its fields make it misbehave.
type memory struct {
	mutex   sync.Mutex
	objects map[string][]byte
	calls   []string           // of each method with its key
	fail    func(string) error // is asked before each call; may be nil
	lax     bool               // ignore the condition of puts
	cut     int                // bytes that bodies lack although they are announced
	whole   bool               // ignore ranges
	renewed int
}

func newMemory() *memory { return &memory{objects: make(map[string][]byte)} }

// call notes a call and returns the error that it is to have.
func (m *memory) call(ctx context.Context, method, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.calls = append(m.calls, method+" "+key)
	if m.fail != nil {
		return m.fail(method)
	}
	return nil
}

func (m *memory) put(ctx context.Context, key string, body *payload) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.call(ctx, "put", key); err != nil {
		return err
	}
	if _, there := m.objects[key]; there && !m.lax {
		return objectstore.ErrExists
	}
	var err error
	m.objects[key], err = io.ReadAll(body)
	return err
}

func (m *memory) get(ctx context.Context, key string, offset, length int64) (content, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.call(ctx, "get", key); err != nil {
		return content{}, err
	}
	object, there := m.objects[key]
	if !there {
		return content{}, objectstore.ErrNotFound
	}
	total := int64(len(object))
	switch {
	case m.whole || length < 0:
		offset, length, total = 0, total, -1
	case offset >= total:
		return content{}, errRange
	default:
		length = min(length, total-offset)
	}
	body := object[offset : offset+length]
	return content{body: io.NopCloser(bytes.NewReader(body[:max(0, len(body)-m.cut)])), length: length, total: total}, nil
}

func (m *memory) size(ctx context.Context, key string) (int64, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.call(ctx, "size", key); err != nil {
		return 0, err
	}
	object, there := m.objects[key]
	if !there {
		return 0, objectstore.ErrNotFound
	}
	return int64(len(object)), nil
}

func (m *memory) list(ctx context.Context, prefix, token string) (found []objectstore.Listed, next string, err error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.call(ctx, "list", prefix); err != nil {
		return nil, "", err
	}
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if !strings.HasPrefix(key, prefix) || key < token {
			continue
		}
		if len(found) == page {
			return found, key, nil
		}
		found = append(found, objectstore.Listed{Key: key, Size: int64(len(m.objects[key]))})
	}
	return found, "", nil
}

func (m *memory) remove(ctx context.Context, key string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := m.call(ctx, "remove", key); err != nil {
		return err
	}
	if _, there := m.objects[key]; !there {
		return objectstore.ErrNotFound
	}
	delete(m.objects, key)
	return nil
}

func (m *memory) renew() { m.renewed++ }

func (m *memory) cause(err error) error {
	if errors.Is(err, errRange) {
		return errRange
	}
	return nil
}

func (*memory) close() {}

func TestBucketInMemoryIsAStore(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			storetest.Run(t, func(*testing.T) objectstore.Store { return newStore(newMemory(), prefix) })
		})
	}
}
