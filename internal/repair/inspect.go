package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
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
	found    candidates
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
		part, err := i.inspectLog(ctx, p, func(e *messages.LoggedEntry) error {
			for n := range e.Entry.Batches {
				p.referred[spotOf(e.Entry.Batches[n].Extent)] = struct{}{}
			}
			return nil
		})
		if err != nil {
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
// mark, and calls entry for the readable entries in order. An error of entry ends it. Its
// memory does not grow with the log.
func (i *Inspector) InspectLog(ctx context.Context, id protocol.Partition, entry func(*messages.LoggedEntry) error) (*Partition, error) {
	return i.inspectLog(ctx, &inspected{id: id}, entry)
}

func (i *Inspector) inspectLog(ctx context.Context, p *inspected, entry func(*messages.LoggedEntry) error) (*Partition, error) {
	known, err := i.evidence(ctx)
	if err != nil {
		return nil, err
	}
	part := &Partition{Partition: p.id.Number, Findings: []string{}, Unknown: []Offsets{}, Lanes: []Lane{}}
	if err := i.findLog(ctx, part, p); err != nil {
		return nil, err
	}
	part.Stream, part.Incarnation = messages.LogStream(p.id), p.id.Incarnation
	p.log = partitionlog.New(i.Conn, i.JS, p.id)
	if err := i.inspectEvidence(ctx, part, p.id, known); err != nil {
		return nil, err
	}
	var r logScan
	bounds, err := p.log.Bounds(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return nil, err
	default:
		p.bounds = &bounds
		err = p.log.Walk(ctx, bounds.First, bounds.Last, func(e messages.LoggedEntry) error {
			i.addProgress(Progress{Entries: 1})
			r.entry(&e)
			return entry(&e)
		}, r.missing)
		if err != nil {
			return nil, err
		}
	}
	r.finish(part, p.bounds)
	return part, nil
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
			"the topic's record is older than its log: it names the stream %s, and the log was continued in %s; restore the bucket LANEWAY_TOPICS from a newer copy, "+
				"or give --accept-loss, which corrects the record and gives up nothing of this partition",
			messages.LogStream(p.id), messages.LogStream(newest.Partition)))
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

// addSilent records an error that proves no damage. Evidence that JetStream cannot read is
// damaged; if JetStream does not answer, it may be intact.
func (p *Partition) addSilent(err error) {
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		p.Silent = errors.Join(p.Silent, err)
	}
}

// evidenceTimeout bounds the wait for JetStream.
const evidenceTimeout = 30 * time.Second

// evidence has the stores of the evidence that lies outside the logs. A store is nil if its
// stream does not exist.
type evidence struct {
	snapshots *snapshots.Store
	marks     *marks.Store
}

// evidence opens the stores of the evidence, once.
func (i *Inspector) evidence(ctx context.Context) (_ evidence, err error) {
	if i.opened == nil {
		var known evidence
		if known.snapshots, err = snapshots.Existing(ctx, i.JS); err != nil {
			return known, err
		}
		if known.marks, err = marks.Existing(ctx, i.Conn, i.JS); err != nil {
			return known, err
		}
		i.opened = &known
	}
	return *i.opened, nil
}

// mark returns the mark of a partition; nil if there is none.
func (e evidence) mark(ctx context.Context, p protocol.Partition) (*messages.Mark, error) {
	if e.marks == nil {
		return nil, nil
	}
	stored, err := e.marks.Get(ctx, p)
	if err != nil || !stored.Exists {
		return nil, err
	}
	return &stored.Mark, nil
}

// snapshot returns the end of the log according to its newest readable snapshot; nil if there
// is none.
func (e evidence) snapshot(ctx context.Context, p protocol.Partition) (newest *Snapshot, err error) {
	if e.snapshots == nil {
		return nil, nil
	}
	err = e.snapshots.Load(ctx, p, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != p.TopicID || s.Incarnation != p.Incarnation {
			return false
		}
		newest = &Snapshot{Sequence: s.Sequence, EndOffset: s.NextOffset, Time: time.Unix(0, s.Time).UTC()}
		return true
	})
	return newest, err
}

// search reads the headers of every object with batches.
func (i *Inspector) search(ctx context.Context, s *Survey) (*Store, error) {
	store := &Store{Damaged: []Damaged{}}
	byNumber := make(map[int32]*inspected, len(s.partitions))
	for n := range s.partitions {
		byNumber[s.partitions[n].id.Number] = &s.partitions[n]
	}
	for object, err := range i.Store.List(ctx, string(objectstore.KindBatches)) {
		if err != nil {
			return nil, err
		}
		i.addProgress(Progress{Objects: 1})
		store.Objects++
		store.Bytes += object.Size
		for batch, err := range objectstore.NewReader(ctx, i.Store, object, 0).ScanHeads() {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				store.damaged(object, err)
				break
			}
			if p := byNumber[batch.Partition.Number]; p != nil && batch.Partition.TopicID == s.Report.Topic.ID {
				p.add(&batch)
			}
		}
	}
	return store, nil
}

func (s *Store) damaged(object objectstore.Listed, err error) {
	if len(s.Damaged) == maxDamaged {
		s.MoreDamaged++
		return
	}
	reason := err.Error()
	if corrupt, ok := errors.AsType[*objectstore.CorruptError](err); ok {
		reason = fmt.Sprintf("at offset %d, length %d: %s", corrupt.Offset, corrupt.Length, corrupt.Reason)
	}
	s.Damaged = append(s.Damaged, Damaged{Key: object.Key, Size: object.Size, Reason: reason})
}

// add adds a batch of the store to the candidates, unless the log refers to it.
func (p *inspected) add(b *objectstore.StoredBatch) {
	if at := objectstore.KeyTime(b.Extent.Key); at.After(p.newest) {
		p.newest = at
	}
	if _, known := p.referred[spotOf(b.Extent)]; known {
		return
	}
	p.found.heads = append(p.found.heads, headOf(b))
}

// match reads the log again, to find out which candidates it explains.
func (i *Inspector) match(ctx context.Context, p *inspected, part *Partition) error {
	p.referred = nil
	if !p.newest.IsZero() {
		part.NewestObject = new(p.newest.UTC())
	}
	s := newMatcher(&p.found)
	if len(p.found.heads) > 0 && p.bounds != nil {
		// The bounds are read again: a batch that was staged during the search may be in the
		// log.
		bounds, err := p.log.Bounds(ctx)
		if err != nil {
			return err
		}
		err = p.log.Walk(ctx, bounds.First, bounds.Last, func(e messages.LoggedEntry) error {
			i.addProgress(Progress{Entries: 1})
			s.entry(&e.Entry)
			return nil
		}, func(partitionlog.Missing) error { return nil })
		if err != nil {
			return err
		}
	}
	s.finish()
	part.Copies, part.Refused = p.found.copies, p.found.refused
	part.Lanes = lanes(p.found.heads)
	return nil
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
