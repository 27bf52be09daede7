package objectstore

import (
	"fmt"
	"sync/atomic"
)

// reserve keeps some of a file system free for others: uploads stop while the
// logs of JetStream, which need little and cannot recover from a full disk by
// themselves, still find room. It is safe for concurrent use.
type reserve struct {
	bytes int64
	free  func() (int64, error) // bytes that the file system has left for us
	taken atomic.Int64          // bytes of the uploads under way
}

// take claims room for an upload, or returns an error that wraps ErrFull. What
// uploads under way have already written counts twice: on the safe side.
// Asking the file system costs about a thousandth of the syncs that follow.
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

// give takes back what an upload has claimed.
func (r *reserve) give(size int64) { r.taken.Add(-size) }
