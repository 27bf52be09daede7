package partitionlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// shared is a log in a journal.
type shared struct {
	conn      *nats.Conn
	js        jetstream.JetStream
	partition protocol.Partition
	id        messages.LogID
}

var _ source = (*shared)(nil)

// journal returns the journal, which begins to read it if the process has not read it before.
func (s *shared) journal() *journal.Journal { return journal.Of(s.conn, s.js, s.partition.Log) }

// known converts an error of the journal.
func known(err error) error {
	for _, e := range []struct{ of, is error }{{core.ErrMoved, ErrMoved}, {core.ErrSealed, ErrSealed}, {core.ErrNoLog, ErrNoLog}} {
		if errors.Is(err, e.of) {
			return fmt.Errorf("%w: %w", e.is, err)
		}
	}
	return err
}

func (s *shared) section(kind messages.SectionKind, stage messages.SectionStage, data []byte) messages.Section {
	section := messages.Section{Log: s.id, Kind: kind}
	if kind.HasEntry() {
		section.Entry, section.Topic, section.Stage = data, s.partition.Topic, stage
	}
	return section
}

func (s *shared) create(ctx context.Context, replicas int, first messages.Entry) error {
	if err := s.createJournal(ctx, replicas); err != nil {
		return err
	}
	_, err := s.begin(ctx, 0, messages.StageOwned, first)
	return err
}

// createJournal creates the stream of the journal.
func (s *shared) createJournal(ctx context.Context, replicas int) error {
	err := journal.Create(ctx, s.js, s.partition.Log, replicas)
	if failedWith(err, replicasNotSupported) || failedWith(err, noSuitablePeers) {
		return fmt.Errorf("%w: %w", ErrTooFewServers, err)
	}
	return err
}

// begin appends the first entry, after a sequence. It returns the group that has it.
func (s *shared) begin(ctx context.Context, after uint64, stage messages.SectionStage, first messages.Entry) (group uint64, err error) {
	a, err := s.journal().Begin(ctx, after, s.section(messages.SectionFirst, stage, messages.EncodeEntry(first)))
	if err != nil {
		return 0, err
	}
	done, err := a.Await(ctx)
	if errors.Is(err, core.ErrMoved) {
		return 0, fmt.Errorf("create the log of %s: %w", s.partition, ErrExists)
	}
	return done.Group, err
}

func (s *shared) append(ctx context.Context, expected uint64, data []byte) (uint64, error) {
	sequence, err := s.journal().Append(ctx, expected, s.section(messages.SectionNext, messages.StageOwned, data))
	return sequence, known(err)
}

func (s *shared) appendThen(ctx context.Context, expected uint64, data []byte, then func(sequence uint64, err error)) {
	s.journal().AppendThen(ctx, expected, s.section(messages.SectionNext, messages.StageOwned, data), func(sequence uint64, err error) {
		then(sequence, known(err))
	})
}

func (s *shared) several(ctx context.Context, from uint64, limit int) ([]streamread.Message, bool, error) {
	read, atEnd, err := s.journal().Read(ctx, s.id, from, limit)
	if err != nil {
		return nil, false, known(err)
	}
	entries := make([]streamread.Message, len(read))
	for i, e := range read {
		entries[i] = streamread.Message(e)
	}
	return entries, atEnd, nil
}

func (s *shared) leader(ctx context.Context, sequence uint64) (streamread.Message, bool, error) {
	e, found, err := s.journal().Leader(ctx, s.id, sequence)
	return streamread.Message(e), found, err
}

func (s *shared) extent(ctx context.Context) (extent, error) {
	state, exists, err := s.journal().State(ctx, s.id)
	switch {
	case err != nil:
		return extent{}, err
	case !exists:
		return extent{}, fmt.Errorf("look up the log of %s: %w", s.partition, ErrNoLog)
	}
	begin := uint64(1)
	if state.Begun {
		begin = state.First
	}
	return extent{
		begin: begin, first: state.First, last: state.Last, entries: state.Last - state.First + 1, bytes: uint64(state.Bytes),
		sealed: state.Stage == messages.StageSealed, suspect: state.Suspect,
	}, nil
}

func (s *shared) times(ctx context.Context) (last, created time.Time, err error) {
	x, err := s.extent(ctx)
	if err != nil {
		return last, created, err
	}
	e, found, err := s.journal().Leader(ctx, s.id, x.last)
	if err != nil || !found {
		return last, created, errors.Join(err, fmt.Errorf("the last entry of the log of %s cannot be read", s.partition))
	}
	stream, err := s.js.Stream(ctx, messages.JournalStream(s.partition.Log))
	if err != nil {
		return last, created, fmt.Errorf("look up stream %s: %w", messages.JournalStream(s.partition.Log), err)
	}
	return e.Time, stream.CachedInfo().Created, nil
}

// purge takes the entries out of the log. The journal removes them when it is worth it.
func (s *shared) purge(ctx context.Context, below uint64) error {
	return known(s.journal().Trim(ctx, s.id, below))
}

func (s *shared) seal(ctx context.Context) error { return s.mark(ctx, messages.SectionSealed) }

func (s *shared) delete(ctx context.Context) error { return s.mark(ctx, messages.SectionDeleted) }

// mark appends a section without an entry, if the log exists and does not have it.
func (s *shared) mark(ctx context.Context, kind messages.SectionKind) error {
	_, err := s.journal().Append(ctx, 0, s.section(kind, 0, nil))
	if errors.Is(err, core.ErrNoLog) {
		return nil
	}
	return err
}

// sharedCopier writes a log in a journal.
type sharedCopier struct {
	*shared
	last    uint64 // sequence of the last entry that was sent
	group   uint64 // that has the first entry; 0 before that
	pending []*journal.Appending
}

func (s *shared) continuation(ctx context.Context, replicas int, first uint64) (copier, error) {
	if err := s.createJournal(ctx, replicas); err != nil {
		return nil, err
	}
	_, exists, err := s.journal().State(ctx, s.id)
	switch {
	case err != nil:
		return nil, err
	case exists:
		return nil, fmt.Errorf("continue a log as %s: %w", s.partition, ErrExists)
	}
	return &sharedCopier{shared: s, last: first - 1}, nil
}

func (c *sharedCopier) append(ctx context.Context, entry messages.Entry) error {
	if c.group == 0 {
		var err error
		c.group, err = c.begin(ctx, c.last, messages.StageCopying, entry)
		c.last++
		return err
	}
	a, err := c.journal().Begin(ctx, c.last, c.section(messages.SectionNext, messages.StageCopying, messages.EncodeEntry(entry)))
	if err != nil {
		return known(err)
	}
	c.last++
	if c.pending = append(c.pending, a); len(c.pending) < maxPending {
		return nil
	}
	return c.flush(ctx)
}

func (c *sharedCopier) flush(ctx context.Context) error {
	for _, a := range c.pending {
		if _, err := a.Await(ctx); err != nil {
			return known(err)
		}
	}
	c.pending = c.pending[:0]
	return nil
}

func (c *sharedCopier) finish(ctx context.Context) error {
	return c.mark(ctx, messages.SectionCopied)
}

// discard deletes the log of this attempt.
func (c *sharedCopier) discard(ctx context.Context) error {
	if c.group == 0 {
		return nil
	}
	_, err := c.journal().Append(ctx, c.group, c.section(messages.SectionDeleted, 0, nil))
	if errors.Is(err, core.ErrNoLog) || errors.Is(err, core.ErrMoved) {
		return nil
	}
	return err
}

// listShared returns the logs of all journals, as List does.
func listShared(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, topicID uint64) ([]Found, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	if err := refuseOlder(ctx, js); err != nil {
		return nil, err
	}
	var found []Found
	streams := js.ListStreams(ctx, jetstream.WithStreamListSubject(messages.JournalWildcard))
	for info := range streams.Info() {
		log, err := strconv.ParseUint(strings.TrimPrefix(info.Config.Name, messages.JournalStreamPrefix), 10, 16)
		if err != nil {
			continue // it is none of ours
		}
		logs, err := journal.Of(conn, js, uint16(log)).Logs(ctx)
		if err != nil {
			return nil, err
		}
		for id, state := range logs {
			if topicID != 0 && id.TopicID != topicID {
				continue
			}
			p := protocol.Partition{Topic: state.Topic, TopicID: id.TopicID, Number: id.Number, Incarnation: id.Incarnation, Log: uint16(log)}
			found = append(found, Found{
				Name: messages.LogName(p), Partition: p, Last: state.Last, Replicas: info.Config.Replicas,
				Finished: state.Stage != messages.StageCopying, Used: state.Stage == messages.StageOwned || state.Stage == messages.StageSealed,
			})
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the journals: %w", err)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}
