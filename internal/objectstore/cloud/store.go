package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"path"
	"strings"

	"laneway.dev/internal/objectstore"
)

// store is a store in a bucket.
type store struct {
	bucket bucket
	root   string // of the keys of the store; empty, or with a slash at its end
	base   string // of the keys of objects: root, or the part of a cluster below it
}

func newStore(bucket bucket, prefix string) *store {
	if prefix != "" {
		prefix += "/"
	}
	return &store{bucket: bucket, root: prefix, base: prefix}
}

// Below implements objectstore.Store. It returns a part of its own for each cluster, because
// a server that ignores conditions lets two clusters mark the store.
func (s *store) Below(cluster string) objectstore.Store {
	if cluster == "" {
		return s
	}
	return &part{store{bucket: s.bucket, root: s.root, base: s.root + cluster + "/"}}
}

// part is the store below the id of a cluster. The store that it is a part of owns the bucket.
type part struct{ store }

// Close implements objectstore.Store.
func (*part) Close() error { return nil }

// Put implements objectstore.Store.
func (s *store) Put(ctx context.Context, key string, parts [][]byte) error {
	err := errors.Join(objectstore.CheckKey(key), ctx.Err())
	if err == nil {
		err = s.put(ctx, s.base+key, newPayload(parts))
	}
	if err != nil {
		return fmt.Errorf("put object %q: %w", key, err)
	}
	return nil
}

// Room implements objectstore.Store. A bucket says only in the answer to a put that it is full.
func (*store) Room() error { return nil }

// PutAltered tries to put an object whose hash in the request is that of other bytes, for the
// self-test. The error is objectstore.ErrDigest if the server has noticed that. The request is
// not repeated with new credentials: only the first one has the wrong hash. So
// objectstore.ErrCredentials does not tell what the server does.
func (s *store) PutAltered(ctx context.Context, key string) error {
	if err := s.classify(s.bucket.put(ctx, s.base+key, newAltered())); err != nil {
		return fmt.Errorf("put object %q with a wrong hash: %w", key, err)
	}
	return nil
}

// put stores an object. A request that was rejected for its credentials has certainly had no
// effect, so it is repeated with new ones.
func (s *store) put(ctx context.Context, name string, body *payload) error {
	err := s.classify(s.bucket.put(ctx, name, body))
	if errors.Is(err, objectstore.ErrCredentials) && ctx.Err() == nil {
		s.bucket.renew()
		if _, seekErr := body.Seek(0, io.SeekStart); seekErr != nil {
			return seekErr
		}
		err = s.classify(s.bucket.put(ctx, name, body))
	}
	return err
}

// ReadRange implements objectstore.Store.
func (s *store) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	err := errors.Join(objectstore.CheckKey(key), ctx.Err())
	var found []byte
	if err == nil {
		found, err = s.readRange(ctx, key, offset, length)
	}
	switch _, corrupt := errors.AsType[*objectstore.CorruptError](err); {
	case err == nil:
		return found, nil
	case corrupt:
		return nil, err
	}
	return nil, fmt.Errorf("read object %q at offset %d, length %d: %w", key, offset, length, err)
}

func (s *store) readRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return nil, torn(key, offset, length, "no object has this range")
	}
	if length == 0 { // HTTP has no empty ranges
		size, err := retry(ctx, s, func() (int64, error) { return s.bucket.size(ctx, s.base+key) })
		if err == nil && offset > size {
			err = tornAt(key, offset, length, size)
		}
		return []byte{}, err
	}
	if objectstore.WantsNewConnection(ctx) {
		s.bucket.close()
	}
	found, err := retry(ctx, s, func() (content, error) { return s.bucket.get(ctx, s.base+key, offset, length) })
	if errors.Is(err, errRange) {
		return nil, torn(key, offset, length, "the object ends before the range")
	}
	if err != nil {
		return nil, err
	}
	defer found.body.Close()
	if found.total >= 0 && offset+length > found.total {
		return nil, tornAt(key, offset, length, found.total)
	}
	if found.length >= 0 && found.length < length {
		return nil, fmt.Errorf("%w: %d of %d", objectstore.ErrShort, found.length, length)
	}
	if found.length > length || found.total < 0 && found.length != length {
		return nil, fmt.Errorf("the server does not support ranges: it sends %d bytes", found.length)
	}
	return s.readBody(found.body, length)
}

// readBody reads a body of a known length. Memory is allocated only after the server has
// announced the same length.
func (s *store) readBody(body io.Reader, length int64) ([]byte, error) {
	whole := make([]byte, length)
	n, err := io.ReadFull(body, whole)
	switch {
	case err == nil:
		return whole, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: %d of %d", objectstore.ErrShort, n, length)
	}
	return nil, s.classify(err)
}

func tornAt(key string, offset, length, size int64) error {
	return torn(key, offset, length, fmt.Sprintf("the range is not within the object's %d bytes", size))
}

func torn(key string, offset, length int64, reason string) error {
	return &objectstore.CorruptError{Damage: objectstore.Torn, Key: key, Offset: offset, Length: length, Reason: reason}
}

// Delete implements objectstore.Store.
func (s *store) Delete(ctx context.Context, key string) error {
	if !objectstore.IsKey(key) {
		return fmt.Errorf("delete object %q: this is not the key of an object", key)
	}
	_, err := retry(ctx, s, func() (struct{}, error) { return struct{}{}, s.bucket.remove(ctx, s.base+key) })
	if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	return nil
}

// errSilent means that a page of a list does not come.
var errSilent = fmt.Errorf("%w: the server has sent no page of the list for %v", objectstore.ErrUnreachable, answerTime)

// List implements objectstore.Store. The kinds are listed one after the other, because the bucket
// may have many other objects.
func (s *store) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Listed, error] {
	return func(yield func(objectstore.Listed, error) bool) {
		for _, within := range overlap(prefix) {
			if !s.list(ctx, within, yield) {
				return
			}
		}
	}
}

// overlap returns the prefixes of all keys of objects that start with a prefix.
func overlap(prefix string) (within []string) {
	for _, kind := range objectstore.Kinds() {
		switch kind := string(kind); {
		case strings.HasPrefix(kind, prefix):
			within = append(within, kind)
		case strings.HasPrefix(prefix, kind):
			within = append(within, prefix)
		}
	}
	return within
}

// list yields the objects whose keys start with a prefix, and reports whether the listing goes on.
// The request for each page is repeated like others. A page that cannot be read ends the
// list, because only that page says where the next one starts.
func (s *store) list(ctx context.Context, prefix string, yield func(objectstore.Listed, error) bool) bool {
	for token, more := "", true; more; {
		read, err := retry(ctx, s, func() (listing, error) { return s.page(ctx, s.base+prefix, token) })
		if err != nil {
			return yield(objectstore.Listed{}, fmt.Errorf("list objects: %w", err)) && ctx.Err() == nil
		}
		for _, object := range read.page {
			object.Key = strings.TrimPrefix(object.Key, s.base)
			if objectstore.IsKey(object.Key) && !yield(object, nil) {
				return false
			}
		}
		// A server that repeats a token would repeat the page without end.
		more = read.next != "" && read.next != token
		token = read.next
	}
	return true
}

// listing is a page of a list.
type listing struct {
	page []objectstore.Listed
	next string // token of the next page
}

// page requests a page of a list. A server may send the header of the response and then
// nothing, so its time is bounded.
func (s *store) page(ctx context.Context, prefix, token string) (read listing, err error) {
	attempt, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	read.page, read.next, err = s.bucket.list(attempt, prefix, token)
	if err != nil && attempt.Err() != nil && ctx.Err() == nil {
		err = errSilent
	}
	return read, err
}

// Close implements objectstore.Store.
func (s *store) Close() error {
	s.bucket.close()
	return nil
}

// markerKey returns where the marker of the store is in the bucket.
func (s *store) markerKey() string { return path.Join(s.root, objectstore.MarkerName) }
