package objectstore

import (
	"context"
	"iter"
)

// Reader reads an object of a store piece by piece. It belongs to one goroutine.
type Reader struct {
	ctx    context.Context
	store  Store
	object Listed
	ahead  int64
	piece  []byte // what was read last
	at     int64  // where the piece lies in the object
	anew   bool   // the next request wants a new connection
}

// NewReader returns a Reader of an object. It reads at least ahead bytes at a time, if the
// object has them, and keeps the rest for the next read, because Scan reads heads of some
// hundred bytes. With 0 it reads exactly the requested bytes. As Read does, it repeats requests
// that fail for a reason that may pass.
func NewReader(ctx context.Context, store Store, object Listed, ahead int64) *Reader {
	return &Reader{ctx: ctx, store: store, object: object, ahead: ahead}
}

// Scan is the function [Scan] of the object. What does not match, apart from payloads, is read
// again before it is an error, up to Reads times in all: bits that flip in transit are no damage.
func (r *Reader) Scan() iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: r.object.Key, object: r, size: r.object.Size, payloads: true, reread: r.renew})
}

// ScanHeads is the function [ScanHeads] of the object, and reads again as Scan does.
func (r *Reader) ScanHeads() iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: r.object.Key, object: r, size: r.object.Size, reread: r.renew})
}

// renew discards what was read, because it is wrong.
func (r *Reader) renew() { r.piece, r.anew = nil, true }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, offset int64) (int, error) {
	length := int64(len(p))
	if offset < r.at || offset+length > r.at+int64(len(r.piece)) {
		ctx := r.ctx
		if r.anew {
			ctx, r.anew = WithNewConnection(ctx), false
		}
		piece, err := readPatiently(ctx, r.store, r.object.Key, offset, max(length, min(r.ahead, r.object.Size-offset)))
		if err != nil {
			return 0, err
		}
		r.piece, r.at = piece, offset
	}
	return copy(p, r.piece[offset-r.at:]), nil
}
