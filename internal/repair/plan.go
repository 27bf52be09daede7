package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Plan says how the log of a partition continues if its loss is accepted.
type Plan struct {
	FirstSequence uint64 `json:"first_sequence"` // of the stream
	NextSequence  uint64 `json:"next_sequence"`
	NextOffset    int64  `json:"next_offset"`
	Copied        int64  `json:"copied_entries"`
	// GivenUp are the offsets that have no records any more. Some of the records were
	// acknowledged; other offsets may never have been used. Gaps that the log had before are
	// not included.
	GivenUp []Offsets `json:"given_up_offsets"`
	// Dropped are the offsets of records that the log has and its continuation does not: the history
	// has other records at these offsets, or at some offsets of the same log entry.
	Dropped        []Offsets `json:"dropped_offsets,omitempty"`
	DroppedRecords int64     `json:"dropped_records,omitempty"`
	// LostManifest is the manifest that the log names, if it cannot be read, and LostReason says why.
	// Replacement is what the log continues with instead; nil if there is no manifest to use.
	LostManifest string   `json:"lost_manifest,omitempty"`
	LostReason   string   `json:"lost_reason,omitempty"`
	Replacement  *History `json:"replacement,omitempty"`
	// Unreadable are offsets that the log has and whose records cannot be read: the manifest listed
	// them, and the objects that the log refers to are not in the store. They are not in GivenUp, because
	// other batches of the same log entries can be read.
	Unreadable []Offsets `json:"unreadable_offsets,omitempty"`
	// Restored are offsets below the start of the log that have records again, because they were
	// dropped after the manifest of the replacement was made.
	Restored *Offsets `json:"restored_offsets,omitempty"`
	// StateLost reports whether it is not known any more which batches producers had sent, and
	// which message ids they had used, before the first entry of the old log that could be read:
	// the beginning of the stream and all snapshots are gone, or the snapshot covers dropped records.
	StateLost bool `json:"state_lost,omitempty"`
}

// RefusedError is the error of a loss that cannot be accepted. Nothing was changed.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refusal(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// planning finds out how the log of a partition can continue. It only reads. Everything that can
// refuse to accept a loss is here, so that it is known before anything is changed: after the seal,
// nothing may refuse any more, because a sealed log takes no records until it was continued.
type planning struct {
	*Inspector
	known evidence
	topic protocol.Topic
	old   protocol.Partition
	log   *partitionlog.Log // the old one

	later    []topics.Incarnation // later than that of the record, from earlier attempts
	bounds   *partitionlog.Bounds // of the old log; nil without one
	snapshot *messages.Snapshot   // the newest that can be read
	history  messages.History     // what is archived
	last     segment.Summary      // of the last segments of the history
	archived origin
	objects  map[string]bool // of entries that were archived in a lost history: whether they are there
	first    uint64          // sequence of the new log's first entry
	// beginOffset is the first offset of a log without history.
	beginOffset int64
	next        int64  // lowest offset that no record can have had, as far as the evidence shows
	marked      bool   // the mark covers all other evidence
	frontend    uint64 // the highest frontend epoch
	generation  uint64 // of objects, the present one; 0 if it is not known
}

// origin is where the history of a continued log comes from.
type origin struct {
	named      messages.History // that entries or snapshots of the log name
	found      bool             // no entry of the log names the history
	lost       messages.History // the one whose manifest cannot be read; zero if it can
	lostReason string
	// diverged is the sequence of the first entry of the log that is not the one that the history has
	// at its sequence, or that begins before the end of the history; 0 if there is none.
	diverged uint64
	begin    *int64 // the offset at which the first entry of the stream that can be read begins
}

// plan finds out how the log continues, and makes all its entries without storing them: an entry
// that contradicts the log is found only so.
func (p *planning) plan(ctx context.Context) (*copying, error) {
	if len(p.later) >= maxAttempts {
		return nil, refusal("%d earlier attempts have left their logs after %s; no more are made", len(p.later), messages.LogName(p.old))
	}
	if err := p.findArchived(ctx); err != nil {
		return nil, err
	}
	if err := p.bounded(ctx, p.gather); err != nil {
		return nil, err
	}
	if err := p.findDivergence(ctx); err != nil {
		return nil, err
	}
	planned := p.newCopying(forgetful)
	err := planned.run(ctx, func(context.Context, messages.Entry) error { return nil })
	return planned, err
}

// maxAttempts bounds the logs that earlier attempts may have left.
const maxAttempts = 1000

// forgetful returns a State that remembers nothing, for a run whose snapshot is not stored.
func forgetful(protocol.Topic, protocol.Partition, *messages.Snapshot) State { return noState{} }

type noState struct{}

func (noState) Apply(*messages.LoggedEntry) {}
func (noState) Snapshot() messages.Snapshot { return messages.Snapshot{} }

// findArchived reads the log, and finds out what of it is archived.
func (p *planning) findArchived(ctx context.Context) error {
	in := &inspected{id: p.old, log: p.log, search: true}
	var part Partition
	err := p.bounded(ctx, func(ctx context.Context) (err error) {
		part.Snapshot, err = p.known.snapshot(ctx, p.old)
		return err
	})
	if err != nil {
		return err
	}
	p.archived, p.last = origin{}, segment.Summary{}
	_, err = p.scanLog(ctx, &part, in, func(e *messages.LoggedEntry, _ bool) error {
		if p.archived.begin == nil {
			p.archived.begin = new(e.Entry.BaseOffset - e.Entry.Gap)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.archived.named, p.archived.found = in.named, in.found
	p.history = in.named
	err = p.readManifest(ctx)
	if unreadable, is := errors.AsType[*manifestError](err); is {
		p.archived.lost, p.archived.lostReason, err = in.named, unreadable.reason, nil
	}
	switch {
	case err != nil:
		return err
	case in.found:
		p.history = in.history
		return p.readManifest(ctx)
	case p.archived.lost.Archived():
		return p.fallBack(ctx)
	}
	return nil
}

// manifestError is the error of a manifest that cannot be used.
type manifestError struct{ reason string }

func (e *manifestError) Error() string { return e.reason }

// readManifest reads the end of the history from its manifest.
func (p *planning) readManifest(ctx context.Context) error {
	if !p.history.Archived() {
		return nil
	}
	m, err := archive.Manifest(ctx, p.Store, p.history.Manifest)
	if objectstore.IsDamage(err) {
		return &manifestError{err.Error()}
	}
	if err != nil {
		return err
	}
	switch all := slices.Concat(m.Lists, m.Segments); {
	case m.End != p.history.End:
		return &manifestError{fmt.Sprintf("it ends with entry %d at offset %d, and the log says %d and %d",
			m.End.Sequence, m.End.Offset, p.history.End.Sequence, p.history.End.Offset)}
	case len(all) == 0 && m.Start < m.End.Offset:
		return &manifestError{fmt.Sprintf("it has records from offset %d to %d and lists no segments", m.Start, m.End.Offset-1)}
	case len(all) > 0:
		p.last = all[len(all)-1]
	}
	return nil
}

// addPlan adds to a report what accepting the loss would do.
func (i *Inspector) addPlan(ctx context.Context, topic protocol.Topic, in *inspected, part *Partition) error {
	if i.Store == nil || len(part.Findings) == 0 || part.Silent != nil || in.id != topic.Partition(int(in.id.Number)) {
		return nil
	}
	p := &planning{Inspector: i, topic: topic, old: in.id, log: in.log, known: *i.opened}
	err := p.bounded(ctx, func(ctx context.Context) (err error) {
		p.later, err = topics.Later(ctx, i.Conn, i.JS, in.id)
		return err
	})
	var planned *copying
	if err == nil {
		planned, err = p.plan(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		part.PlanError = err.Error()
		return nil
	}
	part.Plan = new(planned.plan())
	in.history, in.diverged, in.dropped = p.history, p.archived.diverged, planned.dropped
	return nil
}
