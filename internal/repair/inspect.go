package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxDamaged is how many damaged objects a report lists.
const maxDamaged = 1000

// Progress is the progress of an inspection.
type Progress struct {
	Entries int64 // of logs; a log is read twice if the store has batches to which it does not refer
	Objects int64
}

// Inspector inspects topics. It belongs to one goroutine.
type Inspector struct {
	Conn  *nats.Conn
	JS    jetstream.JetStream
	Store objectstore.Store // nil: inspect no objects
	// NewState returns the state of a partition after its snapshot, or without any entry if that is
	// nil. Only Accept needs it.
	NewState func(protocol.Topic, protocol.Partition, *messages.Snapshot) State
	// Progress is called up to ten times a second; it may be nil.
	Progress func(Progress)

	timeout    time.Duration // bounds the wait for JetStream; zero is evidencePatience
	opened     *evidence     // nil until it is needed
	done       Progress
	progressAt time.Time
}

// Survey is the result of an inspection.
type Survey struct {
	Report     Report
	frames     *objectstore.Frames // nil without a store
	partitions []inspected
}

// inspected is one partition of a survey.
type inspected struct {
	id       protocol.Partition
	log      *partitionlog.Log
	bounds   *partitionlog.Bounds // nil without a stream
	referred map[spot]struct{}    // the batches to which the log refers
	history  messages.History     // the newest one that is known
	named    messages.History     // the newest one that the log or a snapshot names
	found    bool                 // no entry of the log names the history
	search   bool                 // the store is searched for manifests even if the log seems to be whole
	diverged uint64               // as in origin
	dropped  []droppedEntry
	covered  uint64 // the last entry that a snapshot covers
	absent   []Hole // what the stream does not have
	lost     candidates
	newest   time.Time
}

// spot identifies a batch by where its frame begins.
type spot struct {
	key    string
	offset int64
	start  uint32 // in a compressed block
}

func spotOf(x messages.Extent) spot { return spot{x.Key, x.Offset, x.Block.Start} }

// Inspect reads the logs of some partitions of a topic, and the headers of all objects of
// the store. It needs memory for the extents of those logs, and for the heads of the batches
// to which they do not refer.
func (i *Inspector) Inspect(ctx context.Context, topic protocol.Topic, partitions []int) (*Survey, error) {
	s := &Survey{Report: Report{Topic: topic}, partitions: make([]inspected, len(partitions))}
	for n, number := range partitions {
		p := &s.partitions[n]
		*p = inspected{id: topic.Partition(number), referred: make(map[spot]struct{})}
		behind, err := i.behind(ctx, p.id)
		if err != nil {
			return nil, err
		}
		p.search = behind != ""
		part, err := i.inspectLog(ctx, p, func(e *messages.LoggedEntry, _ bool) error {
			for n := range e.Entry.Batches {
				if b := &e.Entry.Batches[n]; !b.IsInline() {
					p.referred[spotOf(b.Extent)] = struct{}{}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if behind != "" {
			part.Findings = slices.Insert(part.Findings, 0, behind)
		}
		if err := i.checkManifest(ctx, part); err != nil {
			return nil, err
		}
		if err := i.addPlan(ctx, topic, p, part); err != nil {
			return nil, err
		}
		s.Report.Partitions = append(s.Report.Partitions, *part)
	}
	if i.Store == nil {
		return s, nil
	}
	s.frames = objectstore.NewFrames(i.Store)
	var err error
	if s.Report.Store, err = i.search(ctx, s); err != nil {
		return nil, err
	}
	for n := range s.partitions {
		if err := i.match(ctx, &s.partitions[n], &s.Report.Partitions[n]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// InspectLog reads the log of a partition, compares it with its newest snapshot and its
// mark, and calls entry for the readable entries in order. archived says that segments have the
// entry as well. An error of entry ends it. Its memory does not grow with the log.
func (i *Inspector) InspectLog(ctx context.Context, id protocol.Partition, entry func(e *messages.LoggedEntry, archived bool) error) (*Partition, error) {
	return i.inspectLog(ctx, &inspected{id: id}, entry)
}

func (i *Inspector) inspectLog(ctx context.Context, p *inspected, entry func(*messages.LoggedEntry, bool) error) (*Partition, error) {
	known, err := i.evidence(ctx)
	if err != nil {
		return nil, err
	}
	part := &Partition{Partition: p.id.Number, Findings: []string{}, Unknown: []Offsets{}, Lanes: []Lane{}}
	if err := i.findLog(ctx, part, p); err != nil {
		return nil, err
	}
	part.LogName, part.Incarnation = messages.LogName(p.id), p.id.Incarnation
	p.log = partitionlog.New(i.Conn, i.JS, p.id)
	if err := i.inspectEvidence(ctx, part, p.id, known); err != nil {
		return nil, err
	}
	return i.scanLog(ctx, part, p, entry)
}

// scanLog reads the log of an incarnation.
func (i *Inspector) scanLog(ctx context.Context, part *Partition, p *inspected, entry func(*messages.LoggedEntry, bool) error) (*Partition, error) {
	var r logScan
	bounds, err := p.log.Bounds(ctx)
	switch {
	case errors.Is(err, partitionlog.ErrNoLog):
	case err != nil:
		return nil, err
	default:
		p.bounds = &bounds
		now, err := p.log.History(ctx)
		if err != nil {
			return nil, err
		}
		err = p.log.Walk(ctx, bounds.First, bounds.Last, func(e messages.LoggedEntry) error {
			i.addProgress(Progress{Entries: 1})
			r.entry(&e)
			return entry(&e, now.Archived() && e.Sequence <= now.End.Sequence)
		}, r.missing)
		if err != nil {
			return nil, err
		}
		if bounds.Suspect && (part.Mark == nil || part.Mark.Reserved.Sequence > bounds.Last) {
			bounds.Last++
			r.holes = append(r.holes, partitionlog.Missing{First: bounds.Last, Last: bounds.Last, Reason: "JetStream has lost messages that may have had it"})
		}
	}
	return i.conclude(ctx, &r, part, p)
}

// conclude compares what was read of a log with the evidence, and with what is archived.
func (i *Inspector) conclude(ctx context.Context, r *logScan, part *Partition, p *inspected) (*Partition, error) {
	try := func() *Partition {
		tried := *part
		tried.Findings = slices.Clone(part.Findings)
		r.finish(&tried, p.bounds, p.history, p.covered)
		return &tried
	}
	p.history, p.covered = r.history, 0
	if s := part.Snapshot; s != nil {
		p.history, p.covered = newer(p.history, s.history), s.Sequence
	}
	tried := try()
	p.absent = r.log.Holes
	whole := func() bool { return len(tried.Findings) == len(part.Findings) && !p.search }
	if whole() {
		return tried, nil
	}
	if p.bounds != nil {
		// An owner may have archived and purged entries while the log was read.
		if err := i.renew(ctx, p); err != nil {
			return nil, err
		}
		if tried = try(); whole() {
			return tried, nil
		}
	}
	p.named = p.history
	knows := r.log.Entries > 0 || part.Snapshot != nil
	if err := i.findHistory(ctx, p, knows); err != nil {
		return nil, err
	}
	tried = try()
	if p.found {
		tried.History.Found = true
		tried.Findings = append(tried.Findings, fmt.Sprintf("the manifest %s in the object store lists records up to offset %d, and no entry of the log that can be read names it",
			p.history.Manifest, p.history.End.Offset))
	}
	return tried, nil
}

// renew reads the history and the newest snapshot of a log again.
func (i *Inspector) renew(ctx context.Context, p *inspected) error {
	attempt, cancel := context.WithTimeout(ctx, cmp.Or(i.timeout, evidenceTimeout))
	defer cancel()
	now, err := p.log.History(attempt)
	if err != nil {
		return context.Cause(ctx) // the findings stand
	}
	p.history = newer(now, p.history)
	if newest, err := i.opened.snapshot(attempt, p.id); err == nil && newest != nil {
		p.covered = max(p.covered, newest.Sequence)
		p.history = newer(p.history, newest.history)
	}
	return context.Cause(ctx)
}

// findLog sets p to the last incarnation of the log that had an owner. If the topic's record
// names an earlier one, that is a finding.
func (i *Inspector) findLog(ctx context.Context, part *Partition, p *inspected) error {
	attempt, cancel := context.WithTimeout(ctx, cmp.Or(i.timeout, evidenceTimeout))
	defer cancel()
	later, err := topics.Later(attempt, i.Conn, i.JS, p.id)
	if err != nil {
		part.Findings = append(part.Findings, fmt.Sprintf("later incarnations of the log cannot be looked for: %v", err))
		part.addSilent(err)
		return context.Cause(ctx)
	}
	if newest := newestUsed(later); newest != nil {
		part.Findings = append(part.Findings, fmt.Sprintf(
			"the topic's record is older than its log: it names the log %s, which was continued as %s; restore the bucket LANEWAY_TOPICS from a newer copy, "+
				"or give --accept-loss, which corrects the record and gives up nothing of this partition",
			messages.LogName(p.id), messages.LogName(newest.Partition)))
		p.id = newest.Partition
	}
	return nil
}

// inspectEvidence reads the snapshot and the mark. If one cannot be read, that is a finding.
func (i *Inspector) inspectEvidence(ctx context.Context, part *Partition, p protocol.Partition, known evidence) error {
	attempt, cancel := context.WithTimeout(ctx, cmp.Or(i.timeout, evidenceTimeout))
	defer cancel()
	var err error
	if part.Snapshot, err = known.snapshot(attempt, p); err != nil {
		part.Findings = append(part.Findings, fmt.Sprintf("the snapshots cannot be read: %v", err))
		part.addSilent(err)
	}
	if part.Mark, err = known.mark(attempt, p); err != nil {
		part.Findings = append(part.Findings, fmt.Sprintf("the mark cannot be read: %v", err))
		part.addSilent(err)
	}
	return context.Cause(ctx)
}

// behind returns that archivers have noticed that a log is older than the object store; "" if they have
// not. Mark and snapshots were restored with such a log, so only the store may have more of it. If it is not
// known, that is no finding: the partition takes records then.
func (i *Inspector) behind(ctx context.Context, p protocol.Partition) (string, error) {
	attempt, cancel := context.WithTimeout(ctx, cmp.Or(i.timeout, evidenceTimeout))
	defer cancel()
	logs, err := sweepstate.Logs(attempt, i.Conn)
	if err != nil {
		return "", context.Cause(ctx)
	}
	return logs.Damage(p), nil
}

// addSilent records an error that proves no damage. Evidence that JetStream cannot read is
// damaged; if JetStream does not answer, it may be intact.
func (p *Partition) addSilent(err error) {
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		p.Silent = errors.Join(p.Silent, err)
	}
}

// addProgress adds to the progress, and reports it up to ten times a second.
func (i *Inspector) addProgress(more Progress) {
	i.done.Entries += more.Entries
	i.done.Objects += more.Objects
	if i.Progress == nil || time.Since(i.progressAt) < 100*time.Millisecond {
		return
	}
	i.progressAt = time.Now()
	i.Progress(i.done)
}
