package sweeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core/sweep"
)

const (
	// newestKey has the number and the key of the newest record in the store. A store without that record
	// was restored from an older copy.
	newestKey = "newest"
	// recordTime bounds a request for a record.
	recordTime = time.Minute
)

// readRecords reads the records of earlier sweeps. NATS is read first: a sweep that runs at the same time
// stores a record before it names it there.
func (s *Sweeper) readRecords(ctx context.Context) (found sweep.RecordsFound, err error) {
	found, s.revision, err = findRecords(ctx, s.config.Conn, s.config.Store)
	return found, err
}

// Settled reports whether NATS names the newest record of a sweep in the store.
func Settled(ctx context.Context, conn *nats.Conn, store objectstore.Store) (bool, error) {
	found, _, err := findRecords(ctx, conn, store)
	return err == nil && sweep.Settled(found), err
}

func findRecords(ctx context.Context, conn *nats.Conn, store objectstore.Store) (found sweep.RecordsFound, revision uint64, err error) {
	if found.Known, found.Named, revision, err = newest(ctx, conn); err != nil {
		return found, 0, err
	}
	for o, err := range store.List(ctx, string(objectstore.KindRecord)) {
		if err != nil {
			return found, 0, err
		}
		r, err := readRecord(ctx, store, o)
		switch {
		case errors.Is(err, objectstore.ErrNotFound): // another sweep has replaced it
		case errors.Is(err, sweeprecord.ErrTorn):
			found.Torn = append(found.Torn, o.Key)
		case err != nil:
			return found, 0, fmt.Errorf("the record of a sweep, object %s, cannot be read: %w", o.Key, err)
		default:
			found.Records = append(found.Records, r)
		}
	}
	return found, revision, nil
}

func readRecord(ctx context.Context, store objectstore.Store, o objectstore.Listed) (sweep.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	if o.Size == 0 {
		return sweep.Record{}, sweeprecord.ErrTorn
	}
	data, err := store.ReadRange(ctx, o.Key, 0, o.Size)
	if err != nil {
		return sweep.Record{}, err
	}
	return sweeprecord.Decode(o.Key, data)
}

// newest returns the number and the key of the newest record according to NATS, and the revision of that.
func newest(ctx context.Context, conn *nats.Conn) (number uint64, key string, revision uint64, err error) {
	found, err := sweepstate.Get(ctx, conn, newestKey)
	if err != nil || !found.Exists {
		return 0, "", found.Revision, err
	}
	text, key, _ := strings.Cut(string(found.Value), " ")
	if number, err = strconv.ParseUint(text, 10, 64); err != nil {
		err = protocol.Errorf(protocol.CodeCorrupt, "the newest sweep in bucket %s is %.80q", bucket, found.Value)
	}
	return number, key, found.Revision, err
}

// overtaken reports whether another sweep has named its record, or an operator has had all removed, since
// this one has read them.
func (s *Sweeper) overtaken(ctx context.Context) bool {
	_, _, revision, err := newest(ctx, s.config.Conn)
	return err == nil && revision != s.revision
}

// storeRecord stores a record, names it in NATS, and deletes those before it. A sweep stores its
// record after it has found that the logs and the store are from the same time, so no alarm stands
// any more, and no log is behind.
func (s *Sweeper) storeRecord(ctx context.Context, fx sweep.StoreRecord) error {
	if !s.lease.held() {
		return errLease
	}
	key, err := objectstore.NewRecordKey(fx.Record.Generation, time.Now(), nil)
	if err != nil {
		return err
	}
	data, err := sweeprecord.Encode(fx.Record)
	if err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	if err := s.config.Store.Put(attempt, key, [][]byte{data}); err != nil {
		return fmt.Errorf("store the record of a sweep: %w", err)
	}
	back, err := s.config.Store.ReadRange(attempt, key, 0, int64(len(data)))
	if err == nil && !bytes.Equal(back, data) {
		err = errors.New("it is not as it was written")
	}
	if err != nil {
		return fmt.Errorf("read back the record of a sweep, object %s: %w", key, err)
	}
	if err := s.nameNewest(ctx, fx.Record.Number, key); err != nil {
		if errors.Is(err, errOvertaken) {
			err = errors.Join(err, s.config.Store.Delete(attempt, key))
		}
		return err
	}
	if err := errors.Join(sweepstate.NoteAlarm(ctx, s.config.JS, ""), sweepstate.NoteBehind(ctx, s.config.JS, nil)); err != nil {
		return err
	}
	for _, key := range fx.Obsolete {
		if err := s.config.Store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return topics.NoteSeen(ctx, s.config.Conn, s.config.JS, fx.Seen, fx.Record.Generation)
}

// errOvertaken ends a sweep that was paused for so long that another one has stored its record since.
// Its own record may have topics that were deleted meanwhile, and whose tombstones are gone.
var errOvertaken = errors.New("another archiver has swept meanwhile")

// nameNewest names a record in NATS. It is the point from which on a sweep may delete objects.
func (s *Sweeper) nameNewest(ctx context.Context, number uint64, key string) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	kv, err := s.config.JS.KeyValue(ctx, bucket)
	if err == nil {
		_, err = kv.Update(ctx, newestKey, fmt.Appendf(nil, "%d %s", number, key), s.revision)
	}
	if !kvbucket.IsConflict(err) {
		return err
	}
	// An attempt may have succeeded although its answer was lost.
	if _, named, _, err := newest(ctx, s.config.Conn); err != nil || named == key {
		return err
	}
	return errOvertaken
}
