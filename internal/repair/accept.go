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

// Accepted describes the log of a partition that was continued without its lost records.
type Accepted struct {
	Partition     int32  `json:"partition"`
	Stream        string `json:"stream"`
	Incarnation   uint32 `json:"incarnation"`
	FirstSequence uint64 `json:"first_sequence"` // of the stream
	NextSequence  uint64 `json:"next_sequence"`
	NextOffset    int64  `json:"next_offset"`
	Copied        int64  `json:"copied_entries"`
	// GivenUp are the offsets that have no records any more. Some of the records were
	// acknowledged; other offsets may never have been used. Gaps that the log had before are
	// not included.
	GivenUp []Offsets `json:"given_up_offsets"`
	// RecordCorrected reports whether only the topic's record was corrected, because it was
	// older than the log. Nothing was given up or copied then.
	RecordCorrected bool `json:"record_corrected,omitempty"`
}

// ErrOutcomeUnknown means that the topic's record may or may not name the new stream.
var ErrOutcomeUnknown = errors.New("it is not known whether the log was continued")

// safetyMargin is added to the highest known sequence, offset or epoch when the evidence of
// how far it has reached is lost. It is more than can have been used, and small enough for
// clients that store numbers in 53 bits.
const safetyMargin = 1 << 40

// Accept continues the log of a damaged partition in a new stream, without the lost records.
// No offset and no sequence is used twice: the new stream starts above every sequence, and
// new records above every offset, that is known or was reserved.
//
// The steps, in this order:
//
//  1. Compare the topic with the inspected one, and look for later incarnations.
//  2. Read all evidence of how far the log has reached. If any of it cannot be read because
//     JetStream does not answer, end here: nothing is changed.
//  3. Seal the old stream. No record can be acknowledged after this that the copy lacks. A
//     seal cannot be undone, and the stream is kept as evidence.
//  4. Read the evidence again, since entries may have been appended before the seal.
//  5. Create the new stream, copy the readable entries, and save its snapshot and mark.
//  6. Write the new incarnation into the topic's record. Services use the new stream from
//     then on.
//
// An Accept that is interrupted before the last step has changed only the seal. It can be
// repeated, and several may run at the same time.
//
// If the topic's record is older than its log, the record is corrected instead.
//
// An error with the code INVALID_REQUEST means that the topic has changed since the
// inspection. After ErrOutcomeUnknown the log may have been continued.
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

// bounded runs an operation with a timeout, since JetStream may not answer at all.
func (i *Inspector) bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(i.timeout, evidenceTimeout), errNoAnswer)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

var errNoAnswer = errors.New("JetStream does not answer")

// writeRecord writes the new stream into the topic's record. It deletes the new stream only
// if it is certain that the record does not name it and never will.
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

// record writes the incarnation of the log into the topic's record.
func (a *accepting) record(ctx context.Context, incarnation uint32) error {
	err := a.bounded(ctx, func(ctx context.Context) error { return a.registry.Continue(ctx, a.old, incarnation) })
	if err != nil && !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// newestUsed returns the last incarnation that had an owner; nil if none had.
func newestUsed(later []topics.Incarnation) *topics.Incarnation {
	for n := len(later) - 1; n >= 0; n-- {
		if later[n].Used {
			return &later[n]
		}
	}
	return nil
}

// correct updates a topic's record that is older than its log. The stream that the record
// names must be sealed, as it was when the log was continued. If it is not, an owner may have
// appended records to it since the old record was restored, and only the operator can
// decide which of the two logs is right.
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

// accepting is one run of Accept.
type accepting struct {
	*Inspector
	registry *topics.Registry
	marks    *marks.Store
	saved    *snapshots.Store

	old, new protocol.Partition
	log      *partitionlog.Log // the old one
	replicas int

	later    []topics.Incarnation // later than that of the record, from earlier attempts
	bounds   *partitionlog.Bounds // of the old stream; nil without one
	snapshot *messages.Snapshot   // the newest that can be read
	first    uint64               // sequence of the new stream's first entry
	// beginOffset is the first offset of the log, from its first entry; 0 if that is lost.
	beginOffset int64
	next        int64  // lowest offset that no record can have had, as far as the evidence shows
	marked      bool   // the mark covers all other evidence
	frontend    uint64 // the highest frontend epoch

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

// compare checks that the topic is the inspected one, and looks for incarnations of the log
// that are later than the one in the topic's record.
func (a *accepting) compare(ctx context.Context) error {
	topic, err := a.registry.Get(ctx, a.old.Topic)
	if err != nil {
		return err
	}
	if topic.Partition(int(a.old.Number)) != a.old {
		return protocol.Errorf(protocol.CodeInvalidRequest, "topic %s has changed since it was inspected", a.old.Topic)
	}
	// A record that was restored from an old copy may belong to a deleted topic, and hide the
	// logs of a newer topic with the same name.
	if err := a.registry.LostLogs(ctx, a.old.Topic); err != nil {
		return err
	}
	a.later, err = topics.Later(ctx, a.Conn, a.JS, a.old)
	return err
}

// prepare reads the evidence, seals the log, and reads the evidence again.
func (a *accepting) prepare(ctx context.Context) error {
	if err := a.bounded(ctx, a.gather); err != nil {
		return err
	}
	if err := a.bounded(ctx, a.log.Seal); err != nil {
		return err
	}
	return a.bounded(ctx, a.gather) // entries may have been appended before the seal
}

// gather reads all evidence of how far the log has reached: its stream, the newest snapshot,
// the mark, and what earlier attempts have left.
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
		// An owner never appends beyond its reservation. So a mark that does not cover the
		// known end is an old one, and does not show what was reserved later.
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

// gatherLater adds the evidence of an incarnation that an earlier attempt has left. It should
// not have been used. If it was, its sequences and offsets are still not used twice.
func (a *accepting) gatherLater(ctx context.Context, i *topics.Incarnation) error {
	a.first, a.next = max(a.first, i.Last, i.Reserved.Sequence), max(a.next, i.Reserved.Offset)
	if i.Exists {
		state, err := partitionlog.New(a.Conn, a.JS, i.Partition).State(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // its attempt may have deleted it
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

// findEpoch looks up the highest frontend epoch. If the bucket of epochs is lost, the epoch
// is derived from the time: epochs start at the current Unix time in seconds.
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

// begin creates the new stream. If the stream of another attempt has the name, it takes the
// next incarnation, because that attempt may still be running.
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
	return nil, fmt.Errorf("%d earlier attempts have left their streams; delete those after %s", most, messages.LogStream(a.old))
}

// fill copies the log, and saves snapshot and mark for the next owner.
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
	// An earlier attempt with this incarnation may have saved one and then failed.
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

// mark writes the exact end of the new log.
func (a *accepting) mark(ctx context.Context, end messages.Position) error {
	before, err := a.marks.Get(ctx, a.new)
	if err != nil {
		return err
	}
	_, err = a.marks.Put(ctx, a.new, messages.Mark{Owner: marks.ByRepair, Written: end, Reserved: end}, before.Revision)
	return err
}

// discard deletes a stream that no record names, even if ctx has ended.
func discard(ctx context.Context, target *partitionlog.Continuation) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return target.Discard(ctx)
}
