package kvbucket

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Follower reads what has changed in a bucket since it was read last. It is not safe for concurrent use.
type Follower struct {
	bucket string
	last   Record // with the highest revision; its revision is 0 if that is not known
}

// NewFollower returns a follower that has not read its bucket yet.
func NewFollower(bucket string) *Follower { return &Follower{bucket: bucket} }

// mostChanges is up to how many changes are read one by one. If there are more, all records are read.
const mostChanges = 64

// Changes are records of a bucket in the order in which they have to be applied. A key that was deleted has
// a record that does not exist.
type Changes struct {
	Records  []Record
	All      bool   // Records are all of the bucket, and replace what was read before
	Revision uint64 // of the bucket; no change up to it is missing
}

// Read returns what has changed since the last call, as the leader of the bucket knows it. After an error
// the next call returns all records.
func (f *Follower) Read(ctx context.Context, js jetstream.JetStream) (Changes, error) {
	last := f.last
	f.last = Record{}
	state, err := Subjects(ctx, js.Conn(), "KV_"+f.bucket, f.bucket) // none has this name
	if err != nil {
		return Changes{}, fmt.Errorf("look up bucket %s: %w", f.bucket, err)
	}
	if changed, known := f.changed(ctx, js.Conn(), last, state.LastSeq); known {
		f.last = last
		if len(changed) > 0 {
			f.last = changed[len(changed)-1]
		}
		return Changes{Records: changed, Revision: state.LastSeq}, nil
	}
	records, revision, err := Records(ctx, js, f.bucket, "")
	if err != nil {
		return Changes{}, err
	}
	for _, r := range records {
		if r.Revision == revision {
			f.last = r
		}
	}
	return Changes{Records: records, All: true, Revision: revision}, nil
}

// changed reads what has changed after the last record that was read, up to a revision of the bucket. It
// returns false if all records have to be read: there are too many changes, or the bucket does not have that
// record any more, as when it was restored from a copy.
func (f *Follower) changed(ctx context.Context, conn *nats.Conn, last Record, to uint64) (records []Record, known bool) {
	if last.Revision == 0 || to < last.Revision || to-last.Revision > mostChanges {
		return nil, false
	}
	at := last.Revision
	for from, first := at, true; from <= to; first = false {
		r, err := next(ctx, conn, f.bucket, from)
		switch {
		case err != nil, first && !r.equal(last):
			return nil, false
		case r.Revision == 0 || r.Revision > to:
			return records, at == to
		case !first:
			records = append(records, r)
		}
		at, from = r.Revision, r.Revision+1
	}
	return records, true
}

func (r Record) equal(o Record) bool {
	return r.Key == o.Key && r.Revision == o.Revision && r.Exists == o.Exists && bytes.Equal(r.Value, o.Value)
}

// next asks the leader of a bucket for the first record from a revision on. It returns one with
// revision 0 if there is none.
func next(ctx context.Context, conn *nats.Conn, bucket string, from uint64) (Record, error) {
	prefix := subjectOf(bucket, "")
	e, subject, err := ask(ctx, conn, bucket, map[string]any{"seq": from, "next_by_subj": prefix + ">"})
	return Record{Entry: e, Key: strings.TrimPrefix(subject, prefix)}, err
}
