package storecheck

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Usage says what the bytes of a store are used for. An object can hold batches of several topics,
// so only the bytes of batches are counted by topic, and not those of heads and indexes.
type Usage struct {
	Place   string `json:"place"`
	ID      string `json:"id,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Objects and Bytes count all objects below the cluster's id.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// LiveBytes are those of the batches that logs refer to, as they are stored, and those of the
	// segments that the newest manifests of the logs list.
	LiveBytes int64 `json:"live_bytes"`
	// OtherBytes are the rest of the objects that logs refer to: heads and indexes, and batches
	// to which no log refers; the manifests of the logs; and the records of sweeps.
	OtherBytes int64 `json:"other_bytes"`
	// Waiting counts the objects that no log needs, so that sweeps delete them: those of batches that
	// are archived; segments that retention has dropped or that were merged, and manifests that newer
	// ones have replaced; those of deleted topics, of batches that were staged twice or rejected, and of
	// jobs that were done twice or lost. A sweep keeps those of batches that are still under way.
	Waiting Counted `json:"waiting"`
	// MissingObjects counts the objects to which logs refer but which the store does not list.
	MissingObjects int64 `json:"missing_objects"`
	// Alarm is "log older" or "store older" if a sweep has noticed that the logs and the store are not from
	// the same time. Nothing is deleted then.
	Alarm string `json:"alarm,omitempty"`
	// Sweeps says since when, and why, no sweep of the store was complete; nil if the last one was.
	Sweeps *sweepstate.Ended `json:"incomplete_sweeps,omitempty"`
	Topics []TopicUsage      `json:"topics"` // by name
	// Problems say which topics and logs are damaged, and what could not be listed. If there are
	// any, the usage is incomplete. Objects to which only damaged logs referred count as waiting.
	Problems []string `json:"problems"`
}

// TopicUsage is what the logs of a topic refer to. Bytes are those of the batches as they are
// stored: compressed, if a producer or a stager has compressed them.
type TopicUsage struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// Batches, Records and Bytes are those of entries that are not archived.
	Batches int64 `json:"batches"`
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
	// InlineBytes are those of batches whose payload is in the log, and not in the store.
	InlineBytes int64 `json:"inline_bytes"`
	// Segments have the others. SegmentBytes are those of the whole objects.
	Segments        int64 `json:"segments"`
	SegmentBytes    int64 `json:"segment_bytes"`
	ArchivedRecords int64 `json:"archived_records"`
	// Waiting counts the segments and manifests of the topic that were dropped or replaced. The
	// other objects that wait may have had batches of any topic.
	Waiting Counted `json:"waiting"`
}

// Usage reads all logs and their manifests, and lists the store. It needs a NATS server, reads no
// other object, and changes nothing. A storeid.RefusedError means that the store is not the one of
// the server's services. It needs up to 48 bytes of memory per object with batches, 16 bytes per
// compressed block, and some 100 bytes per segment.
//
// The logs are read before the store is listed. Otherwise, an object that is stored in the
// meantime would count as missing. In this order, it counts as waiting. An object that was replaced
// and deleted in the meantime is missing, so all is read again if a history has moved.
func (c *Checker) Usage(ctx context.Context) (*Usage, error) {
	for reads := 1; ; reads++ {
		u, err := c.readUsage(ctx)
		if err != nil || u.MissingObjects == 0 || reads == mostReads || !c.anyMoved(ctx) {
			return u, err
		}
	}
}

// anyMoved reports whether a log has a newer history than the one that was read.
func (c *Checker) anyMoved(ctx context.Context) bool {
	for p, h := range c.histories {
		if c.moved(ctx, p, h) {
			return true
		}
	}
	return false
}

func (c *Checker) readUsage(ctx context.Context) (*Usage, error) {
	c.comparison, c.histories = newComparison(true), make(map[protocol.Partition]*repair.History)
	doubt, err := c.identify(ctx)
	if err != nil {
		return nil, err
	}
	store := c.comparison.report.Store
	u := &Usage{Place: store.Place, ID: store.ID, Cluster: store.Cluster, Topics: []TopicUsage{}, Problems: []string{}}
	references := newReferences()
	err = c.eachTopic(ctx, func(topic protocol.Topic, inspector *repair.Inspector) error {
		t := TopicUsage{Topic: topic.Name, Partitions: topic.Partitions}
		for number := range topic.Partitions {
			p := topic.Partition(number)
			found, err := c.log(ctx, inspector, p, func(e *messages.Entry, archived bool) error {
				t.add(e, archived, references)
				return ctx.Err()
			})
			if err != nil {
				return err
			}
			if err := c.addHistory(ctx, &t, u, p, found, references); err != nil {
				return err
			}
		}
		u.Topics = append(u.Topics, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := c.sweeps(ctx, u); err != nil {
		return nil, err
	}
	u.Problems = append(u.Problems, c.comparison.report.Logs.Problems...)
	ofLogs := len(u.Problems)
	slices.SortFunc(u.Topics, func(a, b TopicUsage) int { return cmp.Compare(a.Topic, b.Topic) })
	found, err := c.list(ctx, u, references)
	if err != nil {
		return nil, err
	}
	switch {
	case doubt != nil && !found && len(u.Problems) == ofLogs:
		return nil, unrelated(doubt)
	case doubt != nil:
		u.Problems = append(u.Problems, doubt.Reason+": "+doubt.Advice)
	}
	return u, nil
}

// sweeps reads how sweeps have ended.
func (c *Checker) sweeps(ctx context.Context, u *Usage) (err error) {
	if u.Alarm, err = sweepstate.Alarm(ctx, c.Conn); err == nil {
		u.Sweeps, err = sweepstate.LastEnded(ctx, c.Conn)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		u.Problems = append(u.Problems, fmt.Sprintf("it could not be read how sweeps have ended: %v", err))
	}
	return nil
}

// addHistory adds the segments of a log. What cannot be read of its manifest and lists is a problem.
func (c *Checker) addHistory(ctx context.Context, t *TopicUsage, u *Usage, p protocol.Partition, h *repair.History, references *references) error {
	if h == nil {
		return nil
	}
	c.histories[p] = h
	references.keep(h.Manifest)
	m, err := archive.Manifest(ctx, c.objects, h.Manifest)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		u.Problems = append(u.Problems, fmt.Sprintf("%s: the manifest %s cannot be read: %v", p, h.Manifest, err))
		return nil
	}
	for _, key := range m.Waiting {
		references.waiting[key] = t.Topic
	}
	return archive.Walk(ctx, c.objects, m, 0, archive.Walker{
		List: func(s segment.Summary) error {
			references.keep(s.Key)
			return nil
		},
		Segment: func(s segment.Summary) error {
			references.keep(s.Key)
			t.Segments++
			t.SegmentBytes += s.Size
			t.ArchivedRecords += s.Records
			return nil
		},
		Damaged: func(d archive.Damage) error {
			u.Problems = append(u.Problems, fmt.Sprintf("%s: the list %s cannot be read: %v", p, d.Key, d.Err))
			return nil
		},
	})
}

// add counts the batches of an entry.
func (t *TopicUsage) add(e *messages.Entry, archived bool, references *references) {
	for i := range e.Batches {
		b := &e.Batches[i]
		if archived {
			if !b.IsInline() {
				references.addArchived(b.Extent.Key)
			}
			continue
		}
		t.Batches++
		t.Records += int64(b.Records)
		if b.IsInline() {
			t.InlineBytes += b.Extent.Length
			continue
		}
		t.Bytes += references.add(b.Extent)
	}
}

// list adds the objects of the store to a usage, and reports whether a log knows one of them.
func (c *Checker) list(ctx context.Context, u *Usage, references *references) (found bool, err error) {
	references.freeze()
	for o, err := range c.objects.List(ctx, "") {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err != nil {
			u.Problems = append(u.Problems, err.Error())
			continue
		}
		found = u.add(o, references) || found
		c.addProgress(Progress{Objects: 1, Bytes: o.Size})
	}
	u.MissingObjects = references.missing()
	return found, nil
}

// add adds an object, and reports whether a log or a record of a sweep knows it.
func (u *Usage) add(o objectstore.Listed, references *references) (known bool) {
	u.Objects++
	u.Bytes += o.Size
	kind := objectstore.KeyKind(o.Key)
	if kind.HasBatches() {
		switch live, use := references.find(o.Key); use {
		case needed:
			u.LiveBytes += live
			u.OtherBytes += o.Size - live
			return true
		case archivedOnly:
			u.Waiting.add(o.Size)
			return true
		}
	}
	topic, waits := references.waiting[o.Key]
	switch {
	case !kind.HasBatches() && references.kept(o.Key):
		if kind == objectstore.KindSegment {
			u.LiveBytes += o.Size
		} else {
			u.OtherBytes += o.Size
		}
	case kind == objectstore.KindRecord:
		u.OtherBytes += o.Size
	case waits:
		u.Waiting.add(o.Size)
		u.addWaiting(topic, o.Size)
	default:
		u.Waiting.add(o.Size)
		return false
	}
	return true
}

// addWaiting adds an object that waits for its deletion to a topic.
func (u *Usage) addWaiting(topic string, size int64) {
	for i := range u.Topics {
		if u.Topics[i].Topic == topic {
			u.Topics[i].Waiting.add(size)
		}
	}
}
