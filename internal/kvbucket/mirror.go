package kvbucket

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Mirror has the records of a bucket, and reads only what has changed since it was read last. It is not
// safe for concurrent use.
type Mirror struct {
	bucket  string
	records map[string]Record
	last    Record // with the highest revision; its revision is 0 if that is not known
}

// NewMirror returns a mirror that has not read its bucket yet.
func NewMirror(bucket string) *Mirror { return &Mirror{bucket: bucket} }

// mostChanges is up to how many changes are read one by one. If there are more, all records are read.
const mostChanges = 64

// Records returns what the function of the same name does.
func (m *Mirror) Records(ctx context.Context, js jetstream.JetStream) (records []Record, last uint64, err error) {
	state, err := Subjects(ctx, js.Conn(), "KV_"+m.bucket, m.bucket) // none has this name
	if err != nil {
		return nil, 0, fmt.Errorf("look up bucket %s: %w", m.bucket, err)
	}
	if !m.follow(ctx, js.Conn(), state.LastSeq) {
		if records, last, err = Records(ctx, js, m.bucket); err != nil {
			return nil, 0, err
		}
		m.take(records, last)
		return records, last, nil
	}
	records = slices.SortedFunc(maps.Values(m.records), func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	return records, state.LastSeq, nil
}

// take takes in all records as they were at a revision of the bucket.
func (m *Mirror) take(records []Record, revision uint64) {
	m.records, m.last = make(map[string]Record, len(records)), Record{}
	for _, r := range records {
		if m.records[r.Key] = r; r.Revision == revision {
			m.last = r
		}
	}
}

// follow reads what has changed up to a revision of the bucket. It returns false if all records have to be
// read: there are too many changes, or the bucket does not have the last record that was read any more, as
// when it was restored from a copy.
func (m *Mirror) follow(ctx context.Context, conn *nats.Conn, to uint64) bool {
	if m.last.Revision == 0 || to < m.last.Revision || to-m.last.Revision > mostChanges {
		return false
	}
	first := true
	for from := m.last.Revision; from <= to; first = false {
		r, err := next(ctx, conn, m.bucket, from)
		if err != nil || first && !r.equal(m.last) {
			return false
		}
		if r.Revision == 0 || r.Revision > to {
			return m.last.Revision == to
		}
		m.records[r.Key], m.last, from = r, r, r.Revision+1
	}
	return true
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
