package partitionlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
)

// ErrNoLog means that the log does not exist.
var ErrNoLog = errors.New("the log does not exist")

// journal returns the journal, which begins to read it if the process has not read it before.
func (l *Log) journal() *journal.Journal { return journal.Logs.Of(l.conn, l.js, l.partition.Log) }

// known converts an error of the journal.
func known(err error) error {
	for _, e := range []struct{ of, is error }{{core.ErrMoved, ErrMoved}, {core.ErrSealed, ErrSealed}, {core.ErrNoLog, ErrNoLog}} {
		if errors.Is(err, e.of) {
			return fmt.Errorf("%w: %w", e.is, err)
		}
	}
	return err
}

func (l *Log) section(kind messages.SectionKind, stage messages.SectionStage, data []byte) messages.Section {
	section := messages.Section{Log: l.id, Kind: kind}
	if kind.HasEntry() {
		section.Entry, section.Topic, section.Stage = data, l.partition.Topic, stage
	}
	return section
}

// JetStream's codes for a stream that cannot be placed, alone and in a cluster.
const (
	replicasNotSupported jetstream.ErrorCode = 10074
	noSuitablePeers      jetstream.ErrorCode = 10005
)

func failedWith(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}

// createJournal creates the stream of the journal, if it does not exist.
func (l *Log) createJournal(ctx context.Context, replicas int) error {
	err := journal.Logs.Create(ctx, l.js, l.partition.Log, replicas)
	if failedWith(err, replicasNotSupported) || failedWith(err, noSuitablePeers) {
		return fmt.Errorf("%w: %w", ErrTooFewServers, err)
	}
	return err
}

// begin begins to append the first entry, after a sequence.
func (l *Log) begin(ctx context.Context, after uint64, stage messages.SectionStage, first messages.Entry) (*journal.Appending, error) {
	return l.journal().Begin(ctx, after, l.section(messages.SectionFirst, stage, messages.EncodeEntry(first)))
}

// several returns entries of the journal, as Read does.
func (l *Log) several(ctx context.Context, from uint64, limit int) ([]streamread.Message, bool, error) {
	read, atEnd, err := l.journal().Read(ctx, l.id, from, limit)
	if err != nil {
		return nil, false, known(err)
	}
	entries := make([]streamread.Message, len(read))
	for i, e := range read {
		entries[i] = streamread.Message(e)
	}
	return entries, atEnd, nil
}

// leader returns the entry at a sequence if the leader of the journal's stream has it.
func (l *Log) leader(ctx context.Context, sequence uint64) (streamread.Message, bool, error) {
	e, found, err := l.journal().Leader(ctx, l.id, sequence)
	return streamread.Message(e), found, err
}

// extent is the beginning and end of a log.
type extent struct {
	begin  uint64 // sequence of the first entry ever; 1 if that is not known
	first  uint64 // sequence of the first entry that was not purged
	last   uint64 // sequence of the last entry
	bytes  uint64
	sealed bool
	// suspect reports that groups of the journal are lost in which entries may have followed the last one.
	suspect bool
}

// extent returns the extent of the log, with all entries that were durable before the call. If the log
// does not exist, the error wraps ErrNoLog.
func (l *Log) extent(ctx context.Context) (extent, error) {
	state, exists, err := l.journal().State(ctx, l.id)
	switch {
	case err != nil:
		return extent{}, err
	case !exists:
		return extent{}, fmt.Errorf("look up the log of %s: %w", l.partition, ErrNoLog)
	}
	x := extent{begin: 1, first: state.First, last: state.Last, bytes: uint64(state.Bytes), sealed: state.Stage == messages.StageSealed, suspect: state.Suspect}
	if state.Begun {
		x.begin = state.First
	}
	return x, nil
}

// mark appends a section without an entry, if the log exists and does not have it.
func (l *Log) mark(ctx context.Context, kind messages.SectionKind) error {
	_, err := l.journal().Append(ctx, 0, l.section(kind, 0, nil))
	if errors.Is(err, core.ErrNoLog) {
		return nil
	}
	return err
}
