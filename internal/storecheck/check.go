package storecheck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Progress is the progress of a check.
type Progress struct {
	Objects int64
	Bytes   int64 // of these objects
	Entries int64 // of logs
}

// Checker checks a store. It belongs to one goroutine.
type Checker struct {
	Store storeid.Candidate
	// Conn and JS are nil if the store is not to be compared with logs.
	Conn *nats.Conn
	JS   jetstream.JetStream
	// Progress is called up to ten times a second; it may be nil.
	Progress func(Progress)

	objects    objectstore.Store // the part of the store with the objects of the cluster
	frames     *objectstore.Frames
	comparison *comparison
	histories  map[protocol.Partition]*repair.History // of which the usage was read
	done       Progress
	progressAt time.Time
}

// readAhead is how much of an object is read at once, in bytes.
const readAhead = 1 << 20

// Check reads every object with batches and, if there is a server, every log. Damage is in
// the report and is not an error. A storeid.RefusedError means that the store is not the one
// of the server's services. Other errors mean that the store, or the server, cannot be used.
func (c *Checker) Check(ctx context.Context) (*Report, error) {
	c.comparison = newComparison(c.JS != nil)
	doubt, err := c.identify(ctx)
	if err != nil {
		return nil, err
	}
	store := &c.comparison.report.Store
	if doubt != nil {
		store.Marker, store.Advice = doubt.Reason, doubt.Advice
	}
	for _, scan := range []func(context.Context) error{c.scanSegments, c.scanManifests, c.scanRecords, c.scanAll} {
		if err := scan(ctx); err != nil {
			return nil, err
		}
	}
	c.comparison.freeze()
	if c.JS != nil {
		if err := c.logs(ctx); err != nil {
			return nil, err
		}
		if doubt != nil && len(store.Errors) == 0 && !c.comparison.found {
			return nil, unrelated(doubt)
		}
	}
	if err := c.again(ctx); err != nil {
		return nil, err
	}
	return c.comparison.finish(), nil
}

// identify compares the marker of the store with the cluster's record. doubt is why the store
// may be another one; nil if it is certain.
func (c *Checker) identify(ctx context.Context) (doubt *storeid.RefusedError, err error) {
	store := &c.comparison.report.Store
	store.Place = c.Store.Place
	examined, err := storeid.Examine(ctx, c.JS, c.Store)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	store.ID, store.Cluster = examined.Store, examined.Cluster
	c.objects = examined.Objects
	c.frames = objectstore.NewFrames(c.objects)
	return examined.Doubt, nil
}

// unrelated returns the error of a store that is in doubt and has none of the objects that the
// logs refer to. Nothing is then said about its objects: it is another store, and those of the
// cluster are not missing.
func unrelated(doubt *storeid.RefusedError) error {
	return &storeid.RefusedError{Reason: doubt.Reason + "; it has none of the objects that the logs refer to", Advice: doubt.Advice}
}

// each calls scan for all objects of a kind. An error of scan ends it.
func (c *Checker) each(ctx context.Context, kind objectstore.Kind, scan func(objectstore.Listed) error) error {
	store := &c.comparison.report.Store
	for o, err := range c.objects.List(ctx, string(kind)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			store.Errors = append(store.Errors, err.Error())
			continue
		}
		if err := scan(o); err != nil {
			return err
		}
		c.addProgress(Progress{Objects: 1, Bytes: o.Size})
	}
	return nil
}

// scanAll reads all objects with batches of many partitions.
func (c *Checker) scanAll(ctx context.Context) error {
	c.comparison.freezeSegments()
	for _, kind := range objectstore.Kinds() {
		if !kind.HasBatches() {
			continue
		}
		if err := c.each(ctx, kind, func(o objectstore.Listed) error { return c.scan(ctx, o, false) }); err != nil {
			return err
		}
	}
	return nil
}

// scan reads one object, to which a log may refer. An error ends the check.
func (c *Checker) scan(ctx context.Context, o objectstore.Listed, referred bool) error {
	whole, archived := true, false
	for batch, err := range objectstore.NewReader(ctx, c.objects, o, readAhead).Scan() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if isAltered(err) {
			_, err = c.frames.Read(ctx, batch.Extent) // perhaps on the way
		}
		if errors.Is(err, objectstore.ErrNotFound) {
			return nil // deleted since the listing, or an upload that failed and has removed its file
		}
		if err != nil {
			whole = false
			archived = c.comparison.isArchived(&batch) || archived
			c.comparison.damaged(o, &batch, err)
			continue
		}
		archived = c.comparison.batch(&batch) || archived
	}
	c.comparison.object(o, whole, referred, archived)
	return nil
}

// isAltered reports whether an error of a scan means that a payload does not match its checksum.
func isAltered(err error) bool {
	corrupt, ok := errors.AsType[*objectstore.CorruptError](err)
	return ok && corrupt.Damage == objectstore.Payload
}

// logs compares the logs of all topics with the objects.
func (c *Checker) logs(ctx context.Context) error {
	return c.eachTopic(ctx, func(topic protocol.Topic, inspector *repair.Inspector) error {
		for number := range topic.Partitions {
			p := topic.Partition(number)
			found, err := c.log(ctx, inspector, p, func(e *messages.Entry, archived bool) error { return c.entry(ctx, p, e, archived) })
			if err != nil {
				return err
			}
			if err := c.history(ctx, p, found); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachTopic calls read for every topic, and notes the problems of those that cannot be read.
func (c *Checker) eachTopic(ctx context.Context, read func(protocol.Topic, *repair.Inspector) error) error {
	logs := c.comparison.report.Logs
	all, problems, err := topics.Existing(ctx, c.Conn, c.JS)
	if err != nil {
		return err
	}
	for _, problem := range problems {
		logs.Problems = append(logs.Problems, problem.Error())
	}
	inspector := repair.Inspector{Conn: c.Conn, JS: c.JS}
	for _, topic := range all {
		logs.Topics++
		if err := read(topic, &inspector); err != nil {
			return err
		}
	}
	return nil
}

// log calls entry for each entry of a log, notes the log's problems, and returns its history; nil
// if it has none.
func (c *Checker) log(
	ctx context.Context, inspector *repair.Inspector, p protocol.Partition, entry func(e *messages.Entry, archived bool) error,
) (*repair.History, error) {
	logs := c.comparison.report.Logs
	found, err := inspector.InspectLog(ctx, p, func(e *messages.LoggedEntry, archived bool) error {
		logs.Entries++
		c.addProgress(Progress{Entries: 1})
		return entry(&e.Entry, archived)
	})
	if err != nil {
		return nil, err
	}
	logs.Partitions++
	if len(found.Findings) == 0 {
		return found.History, nil
	}
	// The topic may have been deleted, or its log continued, while the log was read.
	if topic, err := topics.Lookup(ctx, c.Conn, p.Topic); err == nil && topic.Partition(int(p.Number)) != p ||
		errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) {
		return found.History, nil
	}
	for _, finding := range found.Findings {
		logs.Problems = append(logs.Problems, fmt.Sprintf("%s: %s", p, finding))
	}
	return found.History, nil
}

// entry looks for the batches of an entry. Those of an archived one may be gone.
func (c *Checker) entry(ctx context.Context, p protocol.Partition, e *messages.Entry, archived bool) error {
	offset := e.BaseOffset
	for i := range e.Batches {
		b := &e.Batches[i]
		if archived {
			if !b.IsInline() {
				c.comparison.referArchived(b.Extent.Key)
			}
			continue
		}
		switch {
		case b.IsInline():
			c.comparison.inline(p, offset, b)
		case !c.comparison.refer(b):
			_, err := c.frames.Read(ctx, b.Extent)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				c.comparison.lose(p, offset, b, err)
			} else {
				c.comparison.found = true
			}
		}
		offset += int64(b.Records)
	}
	return nil
}

// again reads torn objects a second time, because their uploads may have been running.
func (c *Checker) again(ctx context.Context) error {
	torn := c.comparison.torn()
	if len(torn) == 0 {
		return nil
	}
	for o, err := range c.objects.List(ctx, "") {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		before := torn[o.Key]
		if err != nil || before == nil {
			continue // an error was reported the first time
		}
		delete(torn, o.Key)
		c.comparison.forget(before)
		var err error
		switch objectstore.KeyKind(o.Key) {
		case objectstore.KindSegment:
			_, err = c.scanSegment(ctx, o)
		case objectstore.KindManifest:
			err = c.scanManifest(ctx, o)
		default:
			err = c.scan(ctx, o, before.Referenced)
		}
		if err != nil {
			return err
		}
	}
	for _, gone := range torn {
		c.comparison.forget(gone)
	}
	return nil
}

// addProgress adds to the progress, and passes it on ten times a second.
func (c *Checker) addProgress(more Progress) {
	c.done.Objects += more.Objects
	c.done.Bytes += more.Bytes
	c.done.Entries += more.Entries
	if c.Progress == nil || time.Since(c.progressAt) < 100*time.Millisecond {
		return
	}
	c.progressAt = time.Now()
	c.Progress(c.done)
}
