package objectstore

import (
	"io"
	"iter"

	"laneway.dev/pkg/messages"
)

// StoredBatch is a batch found in an object, and where its payload lies. The payload
// itself is nil.
type StoredBatch struct {
	Batch
	Extent messages.Extent
}

// Scan iterates over the batches of an object of size bytes, and verifies header,
// index, heads and payloads. The key is for errors and extents only. What is wrong with
// the object is a *CorruptError, except for a version that is not known; errors of the
// reader are wrapped.
//
// An error about one batch comes with the extent of the batch, and with its head unless
// that is damaged; the iteration continues with the next batch. If a compressed block is
// damaged, each of its batches comes with the error, or just one extent if their heads are
// damaged. An error without an extent concerns the object, and is the last one. An object that
// is torn yields no batch, just the error.
//
// Payloads are read in pieces, except for blocks. No more memory is taken than the largest
// head needs, or the largest block that the object really has and protocol.MaxFrameBytes,
// whatever the object claims.
func Scan(key string, object io.ReaderAt, size int64) iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: key, object: object, size: size, payloads: true})
}

// ScanHeads is Scan without the payloads and the frames of blocks, which are neither read nor
// verified: it reads little of an object of large batches.
func ScanHeads(key string, object io.ReaderAt, size int64) iter.Seq2[StoredBatch, error] {
	return scan(scanner{key: key, object: object, size: size})
}

func scan(s scanner) iter.Seq2[StoredBatch, error] {
	return func(yield func(StoredBatch, error) bool) {
		s := s // an iteration may be repeated
		if err := s.patiently(s.open); err != nil {
			yield(StoredBatch{}, err)
			return
		}
		for range s.count {
			batches, err := s.next()
			if len(batches) == 0 {
				yield(StoredBatch{}, err)
				return
			}
			for i := range batches {
				if !yield(batches[i], err) {
					return
				}
			}
		}
		if s.at != s.indexStart {
			yield(StoredBatch{}, s.corrupt(Index, s.at, s.indexStart-s.at, "bytes that belong to no batch"))
		}
	}
}
