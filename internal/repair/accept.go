package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Accepted is the log of a partition that continues without what was lost.
type Accepted struct {
	Partition     int32  `json:"partition"`
	Stream        string `json:"stream"`
	Incarnation   uint32 `json:"incarnation"`
	FirstSequence uint64 `json:"first_sequence"` // of the stream
	NextSequence  uint64 `json:"next_sequence"`
	NextOffset    int64  `json:"next_offset"`
	Copied        int64  `json:"copied_entries"`
	// GivenUp are the offsets without records, besides those that the log had left out
	// before. Some were acknowledged, others perhaps never given out.
	GivenUp []Offsets `json:"given_up_offsets"`
	// RecordCorrected reports whether the log was continued before, and only the topic's
	// record, which was older, names the stream again. Nothing was given up or copied.
	RecordCorrected bool `json:"record_corrected,omitempty"`
}

// ErrOutcomeUnknown says that the topic's record may or may not name the new stream.
var ErrOutcomeUnknown = errors.New("it is not known whether the log was continued")

// safetyMargin is how far sequences, offsets and epochs may have come beyond all that is known of
// them, when the evidence itself is lost: more than can have been used, and little enough
// for clients that keep 53 bits of a number.
const safetyMargin = 1 << 40

// Accept continues the log of a damaged partition in a new stream, without what was lost.
// Neither an offset nor a sequence is given out twice: the new stream begins above every
// sequence, and new records above every offset, that is known or was reserved.
//
// The old stream is sealed before it is read, so that nothing is acknowledged any more that
// the copy does not have, and stays as evidence. A seal cannot be undone: nothing is sealed
// before all evidence has answered. The record of the topic is written last: services use
// the new stream from then on, and an Accept that is interrupted before has changed nothing
// but the seal. It can be repeated, also at the same time.
//
// If the topic's record is older than its log, the record is corrected instead.
//
// An error of code CodeInvalidRequest says that the topic has changed meanwhile. After
// ErrUnknownFate the log may have been continued.
func (i *Inspector) Accept(ctx context.Context, topic protocol.Topic, number int) (*Accepted, error) {
	a := &accepting{Inspector: i, old: topic.Partition(number), replicas: topic.Replicas}
	if err := a.bounded(ctx, a.open); err != nil {
		return nil, err
	}
	if err := a.bounded(ctx, a.compare); err != nil {
		return nil, err
	}
	if newest := newestUsed(a.later); newest != nil {
		return a.correct(ctx, newest)
	}
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	target, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.fill(ctx, target); err != nil {
		return nil, errors.Join(err, discard(ctx, target))
	}
	return a.writeRecord(ctx, target)
}

// bounded does something that may wait for JetStream without end.
func (i *Inspector) bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(i.timeout, evidenceTimeout), errNoAnswer)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

var errNoAnswer = errors.New("JetStream gives no answer")

// writeRecord has the topic's record name the new stream. Only a stream that the record does not
// name, and never will, is removed.
func (a *accepting) writeRecord(ctx context.Context, target *partitionlog.Continuation) (*Accepted, error) {
	err := a.record(ctx, a.new.Incarnation)
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")):
		return nil, errors.Join(err, discard(ctx, target))
	case err != nil:
		return nil, err
	}
	return &Accepted{
		Partition: a.new.Number, Stream: messages.LogStream(a.new), Incarnation: a.new.Incarnation, FirstSequence: a.first,
		NextSequence: a.made.sequence + 1, NextOffset: a.made.offset, Copied: a.copied, GivenUp: orEmpty(a.made.lost),
	}, nil
}

// record writes into the topic's record in which incarnation the log is.
func (a *accepting) record(ctx context.Context, incarnation uint32) error {
	err := a.bounded(ctx, func(ctx context.Context) error { return a.registry.Continue(ctx, a.old, incarnation) })
	if err != nil && !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// newestUsed returns the last incarnation that an owner had; nil if there is none.
func newestUsed(later []topics.Incarnation) *topics.Incarnation {
	for n := len(later) - 1; n >= 0; n-- {
		if later[n].Used {
			return &later[n]
		}
	}
	return nil
}

// correct takes a topic's record that is older than its log forward. The stream that the
// record names was sealed when the log was continued. One that takes records may have taken
// some since the record was restored.
func (a *accepting) correct(ctx context.Context, newest *topics.Incarnation) (*Accepted, error) {
	var old partitionlog.Bounds
	err := a.bounded(ctx, func(ctx context.Context) (err error) {
		old, err = a.log.Bounds(ctx)
		return err
	})
	stream := messages.LogStream(newest.Partition)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return nil, err
	case !old.Sealed:
		return nil, fmt.Errorf("the topic's record is older than its log, which was continued in stream %s, but stream %s, which the record names, is not sealed: "+
			"restore the bucket LANEWAY_TOPICS from a newer copy", stream, messages.LogStream(a.old))
	}
	if err := a.record(ctx, newest.Partition.Incarnation); err != nil {
		return nil, err
	}
	return &Accepted{
		Partition: a.old.Number, Stream: stream, Incarnation: newest.Partition.Incarnation, GivenUp: []Offsets{}, RecordCorrected: true,
	}, nil
}

// accepting is one attempt.
type accepting struct {
	*Inspector
	registry *topics.Registry
	marks    *marks.Store
	saved    *snapshots.Store

	old, new protocol.Partition
	log      *partitionlog.Log // the old one
	replicas int

	later    []topics.Incarnation // which attempts have left behind
	bounds   *partitionlog.Bounds // of the old stream; nil without one
	snapshot *messages.Snapshot   // the newest that can be read
	first    uint64               // sequence of the new stream's first entry
	// beginOffset is where the log begins, as its first entry says; 0 if that is lost.
	beginOffset int64
	next        int64  // offset that no record has had
	marked      bool   // there is a mark
	frontend    uint64 // the highest epoch that frontends have

	made   *continuation
	copied int64
}

func (a *accepting) open(ctx context.Context) (err error) {
	a.log = partitionlog.New(a.Conn, a.JS, a.old)
	if a.registry, err = topics.Open(ctx, a.Conn, a.JS); err != nil {
		return err
	}
	if a.saved, err = snapshots.Open(ctx, a.Conn, a.JS); err != nil {
		return err
	}
	a.marks, err = marks.Open(ctx, a.Conn, a.JS)
	return err
}

// compare makes sure that the topic is still the one that was inspected, and looks for
// incarnations of the log that its record does not know.
func (a *accepting) compare(ctx context.Context) error {
	topic, err := a.registry.Get(ctx, a.old.Topic)
	if err != nil {
		return err
	}
	if topic.Partition(int(a.old.Number)) != a.old {
		return protocol.Errorf(protocol.CodeInvalidRequest, "topic %s has changed since it was inspected", a.old.Topic)
	}
	// A record that was restored from an old copy may name a topic that was deleted, and hide
	// the logs of the topic that took its name.
	if err := a.registry.LostLogs(ctx, a.old.Topic); err != nil {
		return err
	}
	a.later, err = topics.Later(ctx, a.Conn, a.JS, a.old)
	return err
}

// prepare seals the log, and gathers what is known of it.
func (a *accepting) prepare(ctx context.Context) error {
	if err := a.bounded(ctx, a.gather); err != nil {
		return err
	}
	if err := a.bounded(ctx, a.log.Seal); err != nil {
		return err
	}
	return a.bounded(ctx, a.gather) // something may have been appended before the seal
}

// gather looks at everything that tells how far the log came.
func (a *accepting) gather(ctx context.Context) error {
	a.bounds, a.snapshot, a.first, a.next, a.marked, a.beginOffset = nil, nil, 0, 0, false, 0
	bounds, err := a.log.Bounds(ctx)
	switch {
	case err == nil:
		a.bounds = &bounds
		a.first = bounds.Last
		if a.beginOffset, err = a.log.Begin(ctx, bounds.First); err != nil {
			return err
		}
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	}
	err = a.saved.Load(ctx, a.old, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != a.old.TopicID || s.Incarnation != a.old.Incarnation {
			return false
		}
		a.snapshot = &s
		a.first, a.next = max(a.first, s.Sequence), s.NextOffset
		return true
	})
	if err != nil {
		return err
	}
	stored, err := a.marks.Get(ctx, a.old)
	switch {
	case err == nil && stored.Exists:
		// An owner never appends beyond its reservation, so a mark that does not reach what
		// was written is an old one, and says nothing of what was reserved since.
		a.marked = stored.Mark.Reserved.Covers(messages.Position{Sequence: a.first, Offset: a.next})
		if !a.marked {
			a.first += safetyMargin
		}
		a.first, a.next = max(a.first, stored.Mark.Reserved.Sequence), max(a.next, stored.Mark.Reserved.Offset)
	case err == nil, errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		a.first += safetyMargin
	default:
		return err
	}
	for n := range a.later {
		if err := a.gatherLater(ctx, &a.later[n]); err != nil {
			return err
		}
	}
	a.first++
	return a.findEpoch(ctx)
}

// gatherLater takes account of an incarnation that an attempt has left behind. None of them
// was used, as far as is known: if that is wrong, nothing is given out twice all the same.
func (a *accepting) gatherLater(ctx context.Context, i *topics.Incarnation) error {
	a.first, a.next = max(a.first, i.Last, i.Reserved.Sequence), max(a.next, i.Reserved.Offset)
	if i.Exists {
		state, err := partitionlog.New(a.Conn, a.JS, i.Partition).State(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // its attempt may have removed it
			return err
		}
		a.first, a.next = max(a.first, state.LastSequence), max(a.next, state.NextOffset)
	}
	return a.saved.Load(ctx, i.Partition, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != i.Partition.TopicID {
			return false
		}
		a.first, a.next = max(a.first, s.Sequence), max(a.next, s.NextOffset)
		return true
	})
}

// findEpoch looks for the newest epoch of the frontends. Epochs begin at the time of day.
func (a *accepting) findEpoch(ctx context.Context) error {
	now := uint64(max(0, time.Now().Unix()))
	newest, err := kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) {
		newest, err := ownership.Newest(ctx, a.JS, "frontend")
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return now + safetyMargin, nil
		}
		return newest, err
	})
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		newest, err = now+safetyMargin, nil
	}
	a.frontend = max(newest, now)
	return err
}

// begin makes the new stream. What an earlier attempt has left behind keeps its name: that
// attempt may be another one which is still at work.
func (a *accepting) begin(ctx context.Context) (*partitionlog.Continuation, error) {
	const most = 1000
	a.new = a.old
	for range most {
		a.new.Incarnation++
		var target *partitionlog.Continuation
		err := a.bounded(ctx, func(ctx context.Context) (err error) {
			target, err = partitionlog.New(a.Conn, a.JS, a.new).Continue(ctx, a.replicas, a.first)
			return err
		})
		if !errors.Is(err, partitionlog.ErrExists) {
			return target, err
		}
	}
	return nil, fmt.Errorf("%d earlier attempts have left their streams behind: remove those after %s", most, messages.LogStream(a.old))
}

// fill copies the log, and leaves snapshot and mark for its owner.
func (a *accepting) fill(ctx context.Context, target *partitionlog.Continuation) error {
	made, created := newContinuation(a.old, a.first, a.beginOffset, a.snapshot)
	a.made = made
	if err := a.bounded(ctx, func(ctx context.Context) error { return target.Append(ctx, created) }); err != nil {
		return err
	}
	if a.bounds != nil {
		if err := a.copy(ctx, target); err != nil {
			return err
		}
	}
	if !a.marked || made.offset > a.next {
		a.next = max(a.next, made.offset) + safetyMargin
	}
	end := made.finish(a.next, a.frontend, time.Now().UnixNano())
	if err := target.Append(ctx, end); err != nil {
		return err
	}
	if err := target.Finish(ctx); err != nil {
		return err
	}
	return a.bounded(ctx, a.leaveEvidence)
}

// leaveEvidence saves the snapshot and the mark of the new stream.
func (a *accepting) leaveEvidence(ctx context.Context) error {
	// An attempt with this incarnation may have failed after it had saved one.
	if err := a.saved.Remove(ctx, a.new); err != nil {
		return err
	}
	if s := a.made.snapshot; s != nil {
		s.Incarnation = a.new.Incarnation
		if err := a.saved.Save(ctx, a.new, s.Sequence, messages.EncodeSnapshot(*s)); err != nil {
			return err
		}
	}
	return a.mark(ctx, messages.Position{Sequence: a.made.sequence, Offset: a.made.offset})
}

func (a *accepting) copy(ctx context.Context, target *partitionlog.Continuation) error {
	return a.log.Walk(ctx, a.bounds.First, a.bounds.Last, func(e messages.LoggedEntry) error {
		entries, err := a.made.entry(&e)
		if err != nil {
			return err
		}
		a.copied++
		a.addProgress(Progress{Entries: 1})
		for _, n := range entries {
			if err := target.Append(ctx, n); err != nil {
				return err
			}
		}
		return nil
	}, func(m partitionlog.Missing) error {
		a.made.missing(m)
		return nil
	})
}

// mark writes where the new log ends.
func (a *accepting) mark(ctx context.Context, end messages.Position) error {
	before, err := a.marks.Get(ctx, a.new)
	if err != nil {
		return err
	}
	_, err = a.marks.Put(ctx, a.new, messages.Mark{Owner: marks.ByRepair, Written: end, Reserved: end}, before.Revision)
	return err
}

// discard removes a stream that no record names, also when ctx has ended.
func discard(ctx context.Context, target *partitionlog.Continuation) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return target.Discard(ctx)
}
