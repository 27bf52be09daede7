package cloud

import (
	"context"
	"errors"
	"io"

	"laneway.dev/internal/objectstore"
)

// bucket makes requests to a bucket of a cloud. Each method sends one request, and one for
// each page of a list. Keys are those of the bucket. All methods are safe for concurrent use.
//
// Errors are those of the SDK; cause classifies them.
type bucket interface {
	// put stores an object under a key that is not in use. The request has a hash that the
	// server verifies.
	put(ctx context.Context, key string, body *payload) error
	// get returns a range of an object, and may return less if the object ends within the
	// range. A negative length means the whole object. The caller closes the body.
	get(ctx context.Context, key string, offset, length int64) (content, error)
	// size returns the size of an object in bytes.
	size(ctx context.Context, key string) (int64, error)
	// list returns a page of the objects whose keys start with a prefix, and the token of the
	// next page, which is empty after the last one. The token of the first page is empty.
	list(ctx context.Context, prefix, token string) (page []objectstore.Listed, next string, err error)
	// remove removes an object. Its error may say that there is none.
	remove(ctx context.Context, key string) error
	// renew discards credentials, so that the next request reads them again.
	renew()
	// cause returns the error of package objectstore or of this package that err stands
	// for; nil if the cause is not known.
	cause(err error) error
	// close closes the connections that no request uses. Further requests open new ones.
	close()
}

// content is what a get returns.
type content struct {
	body   io.ReadCloser
	length int64 // of the body, as the server has announced it; negative if it has not
	total  int64 // size of the whole object; negative if the server has not sent it
}

// errRange is the cause of an error when an object does not have the requested range.
var errRange = errors.New("the object does not have the range")
