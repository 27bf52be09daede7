package kvbucket

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"laneway.dev/pkg/protocol"
)

// Record is a key of a bucket.
type Record struct {
	Entry
	Key string
	// Unreadable is set if the bucket has the key and cannot read it, because its stream is
	// damaged. The NATS client does not list such a key, and its watcher waits forever for it.
	Unreadable bool
}

// recordsAtOnce bounds the keys that are read at the same time.
const recordsAtOnce = 16

// Records returns the keys of a bucket as its leader has them, sorted by name, including those
// that were removed or cannot be read: all of them, or those below a prefix that ends in a dot. It also
// returns the revision of the bucket at which the result was valid.
func Records(ctx context.Context, js jetstream.JetStream, bucket, below string) (records []Record, last uint64, err error) {
	prefix := "$KV." + bucket + "."
	state, err := Subjects(ctx, js.Conn(), "KV_"+bucket, prefix+below+">")
	if err != nil {
		return nil, 0, fmt.Errorf("list bucket %s: %w", bucket, err)
	}
	for subject := range state.Subjects {
		records = append(records, Record{Key: strings.TrimPrefix(subject, prefix)})
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(recordsAtOnce)
	for i := range records {
		group.Go(func() error { return records[i].read(ctx, js.Conn(), bucket) })
	}
	return records, state.LastSeq, group.Wait()
}

// read reads a record. If JetStream lists the key and does not answer, the record counts as
// unreadable.
func (r *Record) read(ctx context.Context, conn *nats.Conn, bucket string) (err error) {
	attempt, cancel := context.WithTimeout(ctx, AttemptTime)
	defer cancel()
	r.Entry, err = Get(attempt, conn, bucket, r.Key)
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		r.Unreadable = true
		return nil
	}
	unanswered := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil // as some damage is
	if !unanswered {
		return err
	}
	subject := subjectOf(bucket, r.Key)
	state, err := Subjects(ctx, conn, "KV_"+bucket, subject)
	if err != nil {
		return fmt.Errorf("look up %s of bucket %s: %w", r.Key, bucket, err)
	}
	r.Unreadable = state.Subjects[subject] > 0
	return nil
}

// Subjects asks the leader of a stream for its subjects and its state. It sends one request,
// and the answer lists up to 100,000 subjects. The NATS client's own method repeats the request
// until every counted subject is listed: with a damaged stream that counts more than it lists,
// it never returns.
func Subjects(ctx context.Context, conn *nats.Conn, stream, filter string) (state jetstream.StreamState, err error) {
	info, err := streamInfo(ctx, conn, stream, filter)
	return info.State, err
}

// streamInfo asks the leader of a stream what it is, and for those of its subjects that match a filter.
func streamInfo(ctx context.Context, conn *nats.Conn, stream, filter string) (info jetstream.StreamInfo, err error) {
	request, err := json.Marshal(map[string]string{"subjects_filter": filter})
	if err != nil {
		return info, err
	}
	m, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, request)
	if err != nil {
		return info, err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.StreamInfo
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return info, err
	}
	if answer.Error != nil {
		return info, answer.Error
	}
	return answer.StreamInfo, nil
}
