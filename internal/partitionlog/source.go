package partitionlog

import (
	"context"
	"errors"
	"time"

	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
)

// ErrNoLog means that the log does not exist.
var ErrNoLog = errors.New("the log does not exist")

// source is where the entries of a log are: a stream of its own, or a journal that it shares with
// other logs. The messages of a source are entries, with their sequences in the log.
type source interface {
	// create makes the log with its first entry, after a sequence. If it exists, the error wraps ErrExists.
	create(ctx context.Context, replicas int, first messages.Entry) error
	// append is Log.Append.
	append(ctx context.Context, expected uint64, data []byte) (uint64, error)
	// appendThen is Log.AppendThen.
	appendThen(ctx context.Context, expected uint64, data []byte, then func(sequence uint64, err error))
	// several is as streamread.Several.
	several(ctx context.Context, from uint64, limit int) ([]streamread.Message, bool, error)
	// leader returns the entry at a sequence if the leader of the stream has it.
	leader(ctx context.Context, sequence uint64) (streamread.Message, bool, error)
	// extent asks the leader for the beginning and end of the log. If it does not exist, the error wraps
	// ErrNoLog.
	extent(ctx context.Context) (extent, error)
	// times returns the time that JetStream gave to the last entry, and when the stream was created.
	times(ctx context.Context) (last, created time.Time, err error)
	purge(ctx context.Context, below uint64) error
	seal(ctx context.Context) error
	delete(ctx context.Context) error
	continuation(ctx context.Context, replicas int, first uint64) (copier, error)
}

// extent is the beginning and end of a log.
type extent struct {
	begin   uint64 // sequence of the first entry ever; 1 if that is not known
	first   uint64 // sequence of the first entry that was not purged
	last    uint64 // sequence of the last entry; below first if there is none
	entries uint64
	bytes   uint64
	sealed  bool
	// suspect reports that messages of the stream are lost in which entries may have followed the last one.
	suspect bool
}

// copier writes the log that continues a damaged one.
type copier interface {
	// append sends an entry. It may wait until those before it are durable.
	append(ctx context.Context, entry messages.Entry) error
	// flush returns nil when all entries are durable.
	flush(ctx context.Context) error
	finish(ctx context.Context) error
	discard(ctx context.Context) error
}
