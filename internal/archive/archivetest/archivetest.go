// Package archivetest archives parts of logs for tests.
package archivetest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Archive writes the entries of a log after a history, up to a sequence, into a segment, and a
// manifest that lists it, as an archiver does. Batches that cannot be read are given up. No entry
// of the log names the manifest yet.
func Archive(
	ctx context.Context, log *partitionlog.Log, store objectstore.Store, id protocol.Partition, base messages.History, to uint64, codec protocol.Compression,
) (messages.History, error) {
	before := new(manifest.New(id))
	if base.Archived() {
		var err error
		if before, err = archive.Manifest(ctx, store, base.Manifest); err != nil {
			return messages.History{}, err
		}
	}
	s, err := putSegment(ctx, log, store, id, base, to, codec)
	if err != nil {
		return messages.History{}, err
	}
	key, err := objectstore.NewManifestKey(1, time.Now(), nil)
	if err != nil {
		return messages.History{}, err
	}
	listKey, err := objectstore.NewManifestKey(1, time.Now(), nil)
	if err != nil {
		return messages.History{}, err
	}
	next, full, err := before.Append(key, s, listKey)
	if err != nil {
		return messages.History{}, err
	}
	if full != nil {
		if err := store.Put(ctx, listKey, [][]byte{manifest.EncodeList(full)}); err != nil {
			return messages.History{}, err
		}
	}
	return next.History(), store.Put(ctx, key, [][]byte{manifest.Encode(next)})
}

func putSegment(
	ctx context.Context, log *partitionlog.Log, store objectstore.Store, id protocol.Partition, base messages.History, to uint64, codec protocol.Compression,
) (segment.Summary, error) {
	key, err := objectstore.NewSegmentKey(1, time.Now(), nil)
	if err != nil {
		return segment.Summary{}, err
	}
	bounds, err := log.Bounds(ctx)
	if err != nil {
		return segment.Summary{}, err
	}
	builder := segment.NewBuilder(key, id, codec)
	frames := objectstore.NewFrames(store)
	err = log.Walk(ctx, max(base.End.Sequence+1, bounds.First), to, func(e messages.LoggedEntry) error {
		var all [][]byte
		for _, b := range e.Entry.Batches {
			if b.IsInline() {
				all = append(all, b.Inline)
				continue
			}
			frame, err := frames.Read(ctx, b.Extent)
			if err != nil && !objectstore.IsDamage(err) {
				return err
			}
			all = append(all, bytes.Clone(frame))
		}
		return builder.Add(e, all)
	}, func(m partitionlog.Missing) error { return fmt.Errorf("missing are %+v", m) })
	if err != nil {
		return segment.Summary{}, err
	}
	parts, s, err := builder.Finish()
	if err != nil {
		return segment.Summary{}, err
	}
	return s, store.Put(ctx, key, parts)
}
