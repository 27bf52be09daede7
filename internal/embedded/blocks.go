package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The format of a block of JetStream's file store, as far as it is needed here: a series of
// records, each with a length, a sequence, a time, the length of the subject, and the rest.
const (
	recordHeader = 22
	headersBit   = 1 << 31 // of the length: the message has headers
	erasedBit    = 1 << 63 // of the sequence: the message was deleted
	tombstoneBit = 1 << 62 // of the sequence: the record reports the deletion of another one
)

// maxJump bounds the rise of the sequence from one record of a block to the next. A block has
// at most 8 MiB, so the number of deleted records between two neighbors is far below it.
const maxJump = 1 << 24

// ErrBlock is wrapped by the error of a start with a block that the server would never
// finish reading.
var ErrBlock = errors.New("a file of JetStream is damaged")

// checkBlocks returns an error for blocks that the server would never finish reading. The
// server lists all sequences between two neighboring records before it compares a
// checksum. One flipped high bit in a sequence therefore costs it all of the memory: a jump
// from 1,000 to 1,000 + 2^40, for example, makes a list of 10^12 numbers. Other damage is
// left to the server and to those that read the stream.
func checkBlocks(ctx context.Context, storeDir string) error {
	blocks, err := filepath.Glob(filepath.Join(storeDir, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range blocks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := checkBlock(path); err != nil {
			errs = append(errs, fmt.Errorf("stream %s: %w", streamOf(path), err))
		}
	}
	return errors.Join(errs...)
}

// streamOf returns the name of the stream that a block belongs to.
func streamOf(path string) string { return filepath.Base(filepath.Dir(filepath.Dir(path))) }

func checkBlock(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return nil // the server says what it thinks of that
	}
	defer file.Close()
	at, before, after := walkBlock(bufio.NewReaderSize(file, 256<<10))
	if after == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: the record at byte %d has sequence %d, the one before has %d", ErrBlock, path, at, after, before)
}

// walkBlock returns the place and the sequences of the first record that is more than maxJump
// above the one before it. after is 0 if there is none in the readable part of the block.
func walkBlock(block *bufio.Reader) (at int64, before, after uint64) {
	var header [recordHeader]byte
	var last uint64
	for {
		if _, err := io.ReadFull(block, header[:]); err != nil {
			return 0, 0, 0
		}
		length := int64(binary.LittleEndian.Uint32(header[:]) &^ headersBit)
		if length < recordHeader {
			return 0, 0, 0
		}
		sequence := binary.LittleEndian.Uint64(header[4:])
		if sequence&tombstoneBit == 0 {
			sequence &^= erasedBit
			if last > 0 && sequence > last && sequence-last > maxJump {
				return at, last, sequence
			}
			last = max(last, sequence)
		}
		if _, err := block.Discard(int(length - recordHeader)); err != nil {
			return 0, 0, 0
		}
		at += length
	}
}

// blockBytes returns the size of JetStream's files in bytes.
func blockBytes(storeDir string) int64 {
	var bytes int64
	_ = filepath.WalkDir(storeDir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // what cannot be looked at does not count
		}
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
