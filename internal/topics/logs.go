package topics

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// DefaultLogs is the number of logs of a cluster for which no other one was chosen. MaxLogs bounds
// the number, because every role has an actor for each log.
const (
	DefaultLogs = 4
	MaxLogs     = 64
)

// The number of logs is kept in the bucket of the cluster, in decimal digits. The first frontend writes
// it, or the first creation of a topic. It never changes.
const (
	clusterBucket = "LANEWAY_CLUSTER"
	logsKey       = "logs"
)

// DecideLogs makes sure that the cluster has a number of logs, and returns it. wanted is the number for a
// new cluster; 0 stands for DefaultLogs. If a cluster has another number than the one that is wanted, the
// error has the code LOGS_MISMATCH. DecideLogs retries until ctx ends, because JetStream may have no leader
// for seconds.
func (r *Registry) DecideLogs(ctx context.Context, wanted int) (int, error) {
	return kvbucket.Repeat(ctx, func() (int, error) {
		number, err := r.decideLogs(ctx, wanted)
		if errors.Is(err, protocol.NewError(protocol.CodeLogsMismatch, "")) {
			err = backoff.Permanent(err)
		}
		return number, err
	}, nil)
}

// ErrUndecided means that no frontend has decided the number of logs yet.
var ErrUndecided = errors.New("the number of logs is not decided yet; is a frontend running?")

// AwaitLogs returns the number of logs of the cluster as soon as a frontend, or the creation of a topic, has
// decided it. It calls failed with the reason of each attempt that fails, such as ErrUndecided. The error has the code
// CORRUPT if what is kept cannot be read; any other one means that ctx has ended.
func (r *Registry) AwaitLogs(ctx context.Context, failed func(error)) (int, error) {
	return kvbucket.Repeat(ctx, func() (int, error) {
		number, _, err := r.keptLogs(ctx)
		if err != nil || number > 0 {
			return number, err
		}
		all, err := r.recorded(ctx) // the number itself may be lost
		switch {
		case err != nil:
			return 0, err
		case len(all) == 0:
			return 0, ErrUndecided
		}
		return max(all[0].Logs, 1), nil
	}, failed)
}

// decideLogs is one attempt of DecideLogs.
func (r *Registry) decideLogs(ctx context.Context, wanted int) (int, error) {
	number, revision, err := r.keptLogs(ctx)
	if err == nil && number == 0 {
		number, err = r.keepLogs(ctx, wanted, revision)
	}
	switch {
	case err != nil:
		return 0, unavailable(err)
	case wanted != 0 && wanted != number:
		return 0, protocol.Errorf(protocol.CodeLogsMismatch, "it was made with %d, and --logs is %d", number, wanted)
	}
	return number, nil
}

// Logs returns the number of logs that the cluster keeps; 0 if none is decided.
func Logs(ctx context.Context, conn *nats.Conn) (int, error) {
	number, _, err := newRegistry(conn, nil, nil).keptLogs(ctx)
	return number, err
}

// keptLogs returns the number of logs that is kept, 0 if there is none, and the revision of its key.
func (r *Registry) keptLogs(ctx context.Context) (number int, revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	entry, err := kvbucket.Get(ctx, r.conn, clusterBucket, logsKey)
	switch {
	case kvbucket.IsMissing(err):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	case !entry.Exists:
		return 0, entry.Revision, nil
	}
	number, err = strconv.Atoi(string(entry.Value))
	if err != nil || number < 1 || number > MaxLogs {
		return 0, 0, protocol.Errorf(protocol.CodeCorrupt, "the number of logs in bucket %s is %.40q; remove it with: nats kv del %s %s, and restart the frontends",
			clusterBucket, entry.Value, clusterBucket, logsKey)
	}
	return number, entry.Revision, nil
}

// keepLogs keeps the number of logs if none is kept, and returns the one that is kept.
func (r *Registry) keepLogs(ctx context.Context, wanted int, revision uint64) (int, error) {
	number, err := r.findLogs(ctx, wanted)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	kv, err := kvbucket.OpenBucket(ctx, r.js, clusterBucket, "Laneway: the cluster and its object store")
	if err != nil {
		return 0, err
	}
	_, err = kv.Update(ctx, logsKey, []byte(strconv.Itoa(number)), revision)
	if kvbucket.IsConflict(err) { // another process was faster
		number, _, err = r.keptLogs(ctx)
	}
	return number, err
}

// lookUpLogs returns the number of logs of the cluster, and changes nothing.
func (r *Registry) lookUpLogs(ctx context.Context) (int, error) {
	number, _, err := r.keptLogs(ctx)
	if err == nil && number == 0 {
		number, err = r.findLogs(ctx, 0)
	}
	return number, err
}

// findLogs finds out the number of logs of a cluster that keeps none: it is new, or its bucket was lost.
// Then it is that of the topics. If their records are lost as well, it is one with which every log is where
// it was found: the one that is wanted or the default, if they do, or else the lowest.
func (r *Registry) findLogs(ctx context.Context, wanted int) (int, error) {
	all, err := r.recorded(ctx)
	if err != nil {
		return 0, err
	}
	if len(all) > 0 {
		return max(all[0].Logs, 1), nil
	}
	found, err := r.logs(ctx, partitionlog.Which{})
	if err != nil {
		return 0, err
	}
	numbers := agreeing(found)
	for _, number := range []int{wanted, DefaultLogs} {
		if slices.Contains(numbers, number) {
			return number, nil
		}
	}
	if len(numbers) == 0 {
		return 0, protocol.Errorf(protocol.CodeCorrupt, "the number of logs is lost: the buckets %s and %s do not have it, and no number agrees with all logs; "+
			"if you know it, write it with: nats kv put %s %s NUMBER", clusterBucket, bucket, clusterBucket, logsKey)
	}
	return numbers[0], nil
}

// recorded returns the topics of the registry; none if its bucket does not exist.
func (r *Registry) recorded(ctx context.Context) ([]protocol.Topic, error) {
	_, err := r.js.Stream(ctx, bucketStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return r.List(ctx)
}

// agreeing returns the numbers of logs with which all of these logs are where they were found.
func agreeing(found []partitionlog.Found) (numbers []int) {
	for number := 1; number <= MaxLogs; number++ {
		if !slices.ContainsFunc(found, func(l partitionlog.Found) bool {
			t := protocol.Topic{TopicConfig: protocol.TopicConfig{Replicas: l.Replicas}, ID: l.Partition.TopicID, Logs: number}
			return t.Partition(int(l.Partition.Number)).Log != l.Partition.Log
		}) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}
