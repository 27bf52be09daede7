package objectstore

import "context"

// Reader reads an object of a store piece by piece. It belongs to one goroutine.
type Reader struct {
	ctx    context.Context
	store  Store
	object Listed
	ahead  int64
	piece  []byte // what was read last
	at     int64  // where the piece lies in the object
}

// NewReader returns a Reader of an object. It reads at least ahead bytes at a time, if the
// object has them, and keeps the rest for the next read, because Scan reads heads of some
// hundred bytes. With 0 it reads exactly the requested bytes. As Read does, it repeats requests
// that fail for a reason that may pass.
func NewReader(ctx context.Context, store Store, object Listed, ahead int64) *Reader {
	return &Reader{ctx: ctx, store: store, object: object, ahead: ahead}
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, offset int64) (int, error) {
	length := int64(len(p))
	if offset < r.at || offset+length > r.at+int64(len(r.piece)) {
		piece, err := readPatiently(r.ctx, r.store, r.object.Key, offset, max(length, min(r.ahead, r.object.Size-offset)))
		if err != nil {
			return 0, err
		}
		r.piece, r.at = piece, offset
	}
	return copy(p, r.piece[offset-r.at:]), nil
}
