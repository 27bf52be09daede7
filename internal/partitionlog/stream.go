package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// JetStream's codes for a stream that cannot be placed, alone and in a cluster, and for one
// that is sealed.
const (
	replicasNotSupported jetstream.ErrorCode = 10074
	noSuitablePeers      jetstream.ErrorCode = 10005
	streamSealed         jetstream.ErrorCode = 10109
)

// metadataTopic is the metadata key for the name of the topic. The stream's name and subject
// give everything else about the log.
const metadataTopic = "laneway-topic"

// Metadata of a stream that continues a log: the name of the attempt that created it and,
// after Finish, the sequence of the last entry that the attempt has written. An interrupted
// repair leaves a stream without the second one.
const (
	metadataAttempt  = "laneway-attempt"
	metadataFinished = "laneway-finished"
)

// stream is a log in a stream of its own.
type stream struct {
	conn      *nats.Conn
	js        jetstream.JetStream
	partition protocol.Partition
}

var _ source = (*stream)(nil)

func (s *stream) name() string { return messages.LogName(s.partition) }

// config returns the configuration of the stream.
func (s *stream) config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        s.name(),
		Description: "Laneway: log of " + s.partition.String(),
		Subjects:    []string{messages.LogSubject(s.partition)},
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		AllowDirect: true,
		Metadata:    map[string]string{metadataTopic: s.partition.Topic},
	}
}

func (s *stream) create(ctx context.Context, replicas int, first messages.Entry) error {
	if err := s.createStream(ctx, s.config(replicas)); err != nil {
		return err
	}
	err := s.appendFirst(ctx, 0, messages.EncodeEntry(first))
	if errors.Is(err, ErrMoved) {
		return fmt.Errorf("create stream %s: %w", s.name(), ErrExists)
	}
	return err
}

// firstTries bounds the attempts of the first append, and firstPause is the pause between
// them. A stream with several replicas has no leader directly after its creation.
const (
	firstTries = 100
	firstPause = 50 * time.Millisecond
)

// appendFirst appends the first entry of a stream that was just created.
func (s *stream) appendFirst(ctx context.Context, expected uint64, data []byte) error {
	_, err := s.append(ctx, expected, data)
	for tries := 1; tries < firstTries && errors.Is(err, jetstream.ErrNoStreamResponse); tries++ {
		if err := pause(ctx, firstPause); err != nil {
			return err
		}
		_, err = s.append(ctx, expected, data)
	}
	return err
}

// storeFailed is JetStream's code for a stream whose folder cannot be created. This happens
// while the folder of a deleted stream with the same name is still being removed.
const storeFailed jetstream.ErrorCode = 10049

func (s *stream) createStream(ctx context.Context, config jetstream.StreamConfig) error {
	_, err := s.js.CreateStream(ctx, config)
	for tries := 1; tries < 20 && failedWith(err, storeFailed); tries++ {
		if err := pause(ctx, firstPause); err != nil {
			return fmt.Errorf("create stream %s: %w", config.Name, err)
		}
		_, err = s.js.CreateStream(ctx, config)
	}
	if failedWith(err, replicasNotSupported) || failedWith(err, noSuitablePeers) {
		return fmt.Errorf("create stream %s with %d replicas: %w: %w", config.Name, config.Replicas, ErrTooFewServers, err)
	}
	if err != nil {
		return fmt.Errorf("create stream %s: %w", config.Name, err)
	}
	return nil
}

func failedWith(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}

func (s *stream) delete(ctx context.Context) error {
	err := s.js.DeleteStream(ctx, s.name())
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete stream %s: %w", s.name(), err)
	}
	return nil
}

func (s *stream) append(ctx context.Context, expected uint64, data []byte) (uint64, error) {
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: messages.LogSubject(s.partition), Data: data},
		jetstream.WithExpectLastSequence(expected), jetstream.WithExpectStream(s.name()),
		jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, nil
	}
	switch {
	case kvbucket.IsConflict(err):
		err = ErrMoved
	case failedWith(err, streamSealed):
		err = ErrSealed
	}
	return 0, fmt.Errorf("append to %s after sequence %d: %w", s.name(), expected, err)
}

func (s *stream) appendThen(ctx context.Context, expected uint64, data []byte, then func(sequence uint64, err error)) {
	go func() { then(s.append(ctx, expected, data)) }()
}

func (s *stream) several(ctx context.Context, from uint64, limit int) ([]streamread.Message, bool, error) {
	return streamread.Several(ctx, s.conn, s.name(), from, limit)
}

func (s *stream) leader(ctx context.Context, sequence uint64) (streamread.Message, bool, error) {
	return streamread.Leader(ctx, s.conn, s.name(), sequence)
}

// info asks the leader of the stream.
func (s *stream) info(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, s.name())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = errors.Join(ErrNoLog, err)
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", s.name(), err)
	}
	return stream, nil
}

func (s *stream) extent(ctx context.Context) (extent, error) {
	stream, err := s.info(ctx)
	if err != nil {
		return extent{}, err
	}
	info := stream.CachedInfo()
	return extent{
		begin: max(info.Config.FirstSeq, 1), first: max(info.State.FirstSeq, 1), last: info.State.LastSeq,
		entries: info.State.Msgs, bytes: info.State.Bytes, sealed: info.Config.Sealed,
	}, nil
}

func (s *stream) times(ctx context.Context) (last, created time.Time, err error) {
	stream, err := s.info(ctx)
	if err != nil {
		return last, created, err
	}
	info := stream.CachedInfo()
	return info.State.LastTime, info.Created, nil
}

func (s *stream) purge(ctx context.Context, below uint64) error {
	stream, err := s.info(ctx)
	if err != nil {
		return err
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("purge stream %s below sequence %d: %w", s.name(), below, err)
	}
	return nil
}

func (s *stream) seal(ctx context.Context) error {
	stream, err := s.info(ctx)
	if errors.Is(err, ErrNoLog) {
		return nil
	}
	if err != nil {
		return err
	}
	config := stream.CachedInfo().Config
	if config.Sealed {
		return nil
	}
	config.Sealed = true
	if _, err := s.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("seal stream %s: %w", s.name(), err)
	}
	return nil
}

// streamCopier writes a stream.
type streamCopier struct {
	stream  *stream
	config  jetstream.StreamConfig
	last    uint64 // sequence of the last entry that was sent
	pending []jetstream.PubAckFuture
}

func (s *stream) continuation(ctx context.Context, replicas int, first uint64) (copier, error) {
	config := s.config(replicas)
	config.FirstSeq = first
	// The name makes the configuration unique. JetStream reports success for the creation of
	// an existing stream with the same configuration, so without it two attempts could write
	// to one stream.
	config.Metadata[metadataAttempt] = nuid.Next()
	err := s.createStream(ctx, config)
	if failedWith(err, jetstream.JSErrCodeStreamNameInUse) {
		return nil, fmt.Errorf("create stream %s: %w", config.Name, ErrExists)
	}
	if err != nil {
		return nil, err
	}
	return &streamCopier{stream: s, config: config, last: first - 1}, nil
}

func (c *streamCopier) append(ctx context.Context, entry messages.Entry) error {
	if c.last < c.config.FirstSeq {
		c.last++
		return c.stream.appendFirst(ctx, c.last-1, messages.EncodeEntry(entry))
	}
	future, err := c.stream.js.PublishMsgAsync(&nats.Msg{Subject: messages.LogSubject(c.stream.partition), Data: messages.EncodeEntry(entry)},
		jetstream.WithExpectLastSequence(c.last), jetstream.WithExpectStream(c.config.Name), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("append to %s: %w", c.config.Name, err)
	}
	c.last++
	if c.pending = append(c.pending, future); len(c.pending) < maxPending {
		return nil
	}
	return c.flush(ctx)
}

func (c *streamCopier) flush(ctx context.Context) error {
	for _, future := range c.pending {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if kvbucket.IsConflict(err) {
				err = ErrMoved
			}
			return fmt.Errorf("append to %s: %w", c.config.Name, err)
		case <-ctx.Done():
			return fmt.Errorf("append to %s: %w", c.config.Name, context.Cause(ctx))
		}
	}
	c.pending = c.pending[:0]
	return nil
}

func (c *streamCopier) finish(ctx context.Context) error {
	config := c.config
	config.Metadata = maps.Clone(config.Metadata)
	config.Metadata[metadataFinished] = strconv.FormatUint(c.last, 10)
	if _, err := c.stream.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("finish stream %s: %w", config.Name, err)
	}
	return nil
}

func (c *streamCopier) discard(ctx context.Context) error {
	stream, err := c.stream.js.Stream(ctx, c.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", c.config.Name, err)
	}
	if stream.CachedInfo().Config.Metadata[metadataAttempt] != c.config.Metadata[metadataAttempt] {
		return nil
	}
	return c.stream.delete(ctx)
}
