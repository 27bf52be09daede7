package objectstore

import (
	"fmt"
	"sync/atomic"
)

// reserve keeps a part of the file system free for JetStream. Its logs need little space, but
// they cannot recover from a full disk without a restart. Uploads therefore stop before the
// disk is full. It is safe for concurrent use.
type reserve struct {
	bytes int64
	free  func() (int64, error) // bytes that the file system has left for us
	taken atomic.Int64          // bytes of the uploads under way
}

// take reserves space for an upload, or returns an error that wraps ErrFull. Bytes that
// running uploads have already written count twice, which is on the safe side. Asking the
// file system costs about a thousandth of the syncs that follow.
func (r *reserve) take(size int64) error {
	taken := r.taken.Add(size)
	if r.bytes == 0 {
		return nil
	}
	free, err := r.free()
	if err == nil && free-taken < r.bytes {
		err = fmt.Errorf("%w: %d bytes are free, %d of them are kept in reserve, and uploads under way need %d",
			ErrFull, free, r.bytes, taken)
	}
	if err != nil {
		r.give(size)
		return err
	}
	return nil
}

// give releases the space that an upload has reserved.
func (r *reserve) give(size int64) { r.taken.Add(-size) }
