package sweeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core/sweep"
)

const (
	// atOnce bounds the requests to NATS or to the store that are under way.
	atOnce = 16
	// readTime bounds what is read of one log.
	readTime = 10 * time.Second
	// listTime bounds a list of all logs.
	listTime = time.Minute
	// manifestTime bounds the time for a manifest and its lists.
	manifestTime = 2 * time.Minute
)

// raise raises the generation.
func (s *Sweeper) raise(ctx context.Context) (sweep.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	known, err := generation.Newest(ctx, s.config.Conn)
	if err == nil && known == 0 { // it was lost
		known, err = generation.Open(ctx, generation.Cluster{Conn: s.config.Conn, JS: s.config.JS, Store: s.config.Store})
	}
	if err == nil {
		known, err = generation.Raise(ctx, s.config.Conn, s.config.JS, known, s.watermark)
	}
	return sweep.Raised{Generation: known}, err
}

// readLogs reads the last entries of logs.
func (s *Sweeper) readLogs(ctx context.Context, fx sweep.ReadLogs) (sweep.Event, error) {
	if fx.Pause > 0 {
		timer := time.NewTimer(fx.Pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	partitions := fx.Logs
	if partitions == nil {
		list, cancel := context.WithTimeout(ctx, listTime)
		defer cancel()
		found, err := partitionlog.List(list, s.config.Conn, s.config.JS, partitionlog.Which{})
		if err != nil {
			return nil, err
		}
		for i := range found {
			partitions = append(partitions, found[i].Partition)
		}
	}
	var (
		mu  sync.Mutex
		all sweep.LogsRead
	)
	group := limited()
	for _, p := range partitions {
		group.Go(func() error {
			l, err := s.readLog(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				all.Failed = append(all.Failed, sweep.Failure{What: p.String(), Reason: err.Error()})
				return nil
			}
			all.Logs = append(all.Logs, l)
			s.watermark = max(s.watermark, l.Watermark)
			return nil
		})
	}
	return all, group.Wait()
}

func limited() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(atOnce)
	return group
}

// readLog reads the last entry of a log.
func (s *Sweeper) readLog(ctx context.Context, p protocol.Partition) (sweep.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	state, err := partitionlog.New(s.config.Conn, s.config.JS, p).State(ctx)
	switch {
	case err != nil:
		return sweep.Log{}, err
	case state.Damage != nil:
		return sweep.Log{}, state.Damage
	case state.LastSequence == 0 || state.Readable != state.LastSequence:
		return sweep.Log{}, errors.New("its last entry is gone")
	}
	return sweep.Log{Partition: p, Sequence: state.Readable, Watermark: state.Watermark, Manifest: state.History.Manifest}, nil
}

// listLogs finds out which logs there are.
func (s *Sweeper) listLogs(ctx context.Context) (sweep.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	census, err := topics.TakeCensus(ctx, s.config.Conn, s.config.JS)
	if err != nil {
		return nil, err
	}
	listed := sweep.LogsListed{Logs: census.Logs, Continuing: census.Continuing}
	for _, t := range census.Tombstones {
		listed.Deleted = append(listed.Deleted, sweep.Tombstone{Topic: t.ID, Seen: t.Seen})
	}
	for _, id := range census.Deleting {
		listed.Deleted = append(listed.Deleted, sweep.Tombstone{Topic: id, Passing: true})
	}
	return listed, nil
}

// readManifests reads manifests and their lists.
func (s *Sweeper) readManifests(ctx context.Context, keys []string) sweep.Event {
	var (
		mu  sync.Mutex
		all sweep.ManifestsRead
	)
	group := limited()
	for _, key := range keys {
		group.Go(func() error {
			contents, err := s.readManifest(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				all.Failed = append(all.Failed, sweep.Failure{What: key, Reason: err.Error(), Missing: errors.Is(err, objectstore.ErrNotFound)})
				return nil
			}
			all.Manifests = append(all.Manifests, contents)
			return nil
		})
	}
	_ = group.Wait()
	return all
}

func (s *Sweeper) readManifest(ctx context.Context, key string) (sweep.Contents, error) {
	ctx, cancel := context.WithTimeout(ctx, manifestTime)
	defer cancel()
	m, err := archive.Manifest(ctx, s.config.Store, key)
	if err != nil {
		return sweep.Contents{}, err
	}
	contents := sweep.Contents{Key: key, Waiting: m.Waiting}
	for i := range m.Segments {
		contents.Names = append(contents.Names, m.Segments[i].Key)
	}
	for i := range m.Lists {
		var l *manifest.List
		if l, err = archive.List(ctx, s.config.Store, m.Lists[i].Key); err != nil {
			return sweep.Contents{}, err
		}
		contents.Names = append(contents.Names, l.Key)
		for j := range l.Segments {
			contents.Names = append(contents.Names, l.Segments[j].Key)
		}
	}
	return contents, nil
}
