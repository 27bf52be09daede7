package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Accepted describes the log of a partition that was continued without its lost records.
type Accepted struct {
	Partition   int32  `json:"partition"`
	LogName     string `json:"log_name"`
	Incarnation uint32 `json:"incarnation"`
	Plan
	// RecordCorrected reports whether only the topic's record was corrected, because it was
	// older than the log. Nothing was given up or copied then.
	RecordCorrected bool `json:"record_corrected,omitempty"`
}

// ErrOutcomeUnknown means that the topic's record may or may not name the new log.
var ErrOutcomeUnknown = errors.New("it is not known whether the log was continued")

// ErrNeedsStore means that a loss cannot be accepted without the object store.
var ErrNeedsStore = errors.New("the object store is needed: records that the log has lost may be archived")

// safetyMargin is added to the highest known sequence, offset or epoch when the evidence of
// how far it has reached is lost. It is more than can have been used, and small enough for
// clients that store numbers in 53 bits.
const safetyMargin = 1 << 40

// Accept continues the log of a damaged partition in a new log, without the lost records.
// No offset and no sequence is used twice: the new log starts above every sequence, and
// new records above every offset, that is known or was reserved.
//
// The steps, in this order:
//
//  1. Compare the topic with the inspected one, and look for later incarnations.
//  2. Plan: read the log, look for the newest manifest of the partition, since what it lists is
//     not lost, read all evidence of how far the log has reached, and make the entries of the new
//     stream without storing them. Whatever refuses to accept the loss does it here: nothing is
//     changed then.
//  3. Seal the old log. No record can be acknowledged after this that the copy lacks. A
//     seal cannot be undone, and the stream is kept as evidence.
//  4. Plan again, since entries may have been appended before the seal.
//  5. Create the new log, copy the readable entries that are not archived, and save its
//     snapshot and mark.
//  6. Write the new incarnation into the topic's record. Services use the new log from
//     then on.
//
// An Accept that is interrupted before the last step has changed only the seal. It can be
// repeated, and several may run at the same time.
//
// If the topic's record is older than its log, the record is corrected instead.
//
// Without a Store, only a record can be corrected; the error is otherwise ErrNeedsStore.
//
// A *RefusedError means that nothing was changed. An error with the code INVALID_REQUEST means that
// the topic has changed since the inspection. After ErrOutcomeUnknown the log may have been
// continued.
func (i *Inspector) Accept(ctx context.Context, topic protocol.Topic, number int) (*Accepted, error) {
	a := &accepting{planning: planning{Inspector: i, topic: topic, old: topic.Partition(number)}, replicas: topic.Replicas}
	if err := a.bounded(ctx, a.open); err != nil {
		return nil, err
	}
	if err := a.bounded(ctx, a.compare); err != nil {
		return nil, err
	}
	if newest := newestUsed(a.later); newest != nil {
		return a.correct(ctx, newest)
	}
	if i.Store == nil {
		return nil, ErrNeedsStore
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

// writeRecord writes the new log into the topic's record. It deletes the new log only
// if it is certain that the record does not name it and never will.
func (a *accepting) writeRecord(ctx context.Context, target *partitionlog.Continuation) (*Accepted, error) {
	err := a.record(ctx, a.new.Incarnation)
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")):
		return nil, errors.Join(err, discard(ctx, target))
	case err != nil:
		return nil, err
	}
	return &Accepted{Partition: a.new.Number, LogName: messages.LogName(a.new), Incarnation: a.new.Incarnation, Plan: a.copy.plan()}, nil
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
	name := messages.LogName(newest.Partition)
	switch {
	case errors.Is(err, partitionlog.ErrNoLog):
	case err != nil:
		return nil, err
	case !old.Sealed:
		return nil, refusal("the topic's record is older than its log, which was continued as %s, but log %s, which the record names, is not sealed: "+
			"restore the bucket LANEWAY_TOPICS from a newer copy", name, messages.LogName(a.old))
	}
	if err := a.record(ctx, newest.Partition.Incarnation); err != nil {
		return nil, err
	}
	return &Accepted{
		Partition: a.old.Number, LogName: name, Incarnation: newest.Partition.Incarnation, Plan: Plan{GivenUp: []Offsets{}}, RecordCorrected: true,
	}, nil
}

// accepting is one run of Accept: a planning, and what writes.
type accepting struct {
	planning
	registry *topics.Registry
	marks    *marks.Store
	saved    *snapshots.Store

	new      protocol.Partition
	replicas int
	copy     *copying
}

func (a *accepting) open(ctx context.Context) (err error) {
	a.log = partitionlog.New(a.Conn, a.JS, a.old)
	if a.registry, err = topics.Open(ctx, a.Conn, a.JS); err != nil {
		return err
	}
	if a.saved, err = snapshots.Open(ctx, a.Conn, a.JS); err != nil {
		return err
	}
	a.marks = marks.New(a.Conn, a.JS)
	a.known = evidence{a.saved, a.marks}
	a.opened = &a.known
	return nil
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

// prepare plans the continuation, seals the log, and plans again: entries may have been appended
// before the seal.
func (a *accepting) prepare(ctx context.Context) error {
	if _, err := a.plan(ctx); err != nil {
		return err
	}
	if err := a.bounded(ctx, a.log.Seal); err != nil {
		return err
	}
	_, err := a.plan(ctx)
	return err
}

// discard deletes a stream that no record names, even if ctx has ended.
func discard(ctx context.Context, target *partitionlog.Continuation) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return target.Discard(ctx)
}
