package objectstore

import (
	"io"
	"iter"

	"laneway.dev/pkg/messages"
)

// StoredBatch is a batch found in an object, and where its payload lies. ScanHeads
// leaves the payload nil.
type StoredBatch struct {
	Batch
	Extent messages.Extent
}

// Scan iterates over the batches of an object of size bytes, verifying header,
// index, heads and payloads. The key is for errors and extents only. An object
// that is torn yields no batch, just the error; the first error ends the
// iteration. What is wrong with the object is a *CorruptError, except for a
// version that is not known; errors of the reader are wrapped.
//
// Payloads are not shared with later batches. No more memory is taken than the
// largest payload needs, whatever the object claims.
func Scan(key string, object io.ReaderAt, size int64) iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: key, object: object, size: size, payloads: true})
}

// ScanHeads is Scan without the payloads, which are neither read nor verified: it
// reads little of an object of large batches.
func ScanHeads(key string, object io.ReaderAt, size int64) iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: key, object: object, size: size})
}

func scan(s scanner) iter.Seq2[StoredBatch, error] {
	return func(yield func(StoredBatch, error) bool) {
		s := s // an iteration may be repeated
		if err := s.open(); err != nil {
			yield(StoredBatch{}, err)
			return
		}
		for range s.count {
			batch, err := s.next()
			if !yield(batch, err) || err != nil {
				return
			}
		}
		if s.at != s.indexStart {
			yield(StoredBatch{}, s.corrupt(s.at, s.indexStart-s.at, "bytes that belong to no batch"))
		}
	}
}
