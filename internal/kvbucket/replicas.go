package kvbucket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
)

// The number of replicas is kept in the bucket of the cluster, in decimal digits. The first process that starts
// decides it by creating the bucket with as many. Only an operator changes it.
const (
	clusterBucket      = "LANEWAY_CLUSTER"
	clusterDescription = "Laneway: the cluster and its object store"
	replicasKey        = "replicas"
)

// defaultReplicas is the number of replicas in a NATS cluster. One of them may be lost.
const defaultReplicas = 3

// ErrTooFewServers means that NATS has fewer servers with JetStream that can be reached than a stream needs for its
// replicas.
var ErrTooFewServers = errors.New("NATS has too few servers for the replicas")

// JetStream's codes for a stream that has too few servers for its replicas: of a single server, and of a cluster.
const (
	replicasNotSupported jetstream.ErrorCode = 10074
	noSuitablePeers      jetstream.ErrorCode = 10005
)

func tooFewServers(err error) bool {
	return hasCode(err, replicasNotSupported) || hasCode(err, noSuitablePeers)
}

// serversTime is how long the servers of a cluster that start together may take to find each other.
const serversTime = 10 * time.Second

// DecideReplicas makes sure that the cluster has a number of replicas, and returns it. wanted is the number for a new
// cluster; 0 stands for three in a NATS cluster, and one on a single server. If a cluster has another number than the
// one that is wanted, the error has the code REPLICAS_MISMATCH. If a new one needs more servers than there are, it
// wraps ErrTooFewServers. DecideReplicas repeats everything else until ctx ends, because JetStream may have no leader
// for seconds, and calls failed with the reasons.
func DecideReplicas(ctx context.Context, js jetstream.JetStream, wanted int, failed func(error)) (int, error) {
	began := time.Now()
	return Repeat(ctx, func() (int, error) {
		attempt, cancel := context.WithTimeout(ctx, AttemptTime)
		defer cancel()
		number, err := decideReplicas(attempt, js, wanted)
		switch {
		case errors.Is(err, protocol.NewError(protocol.CodeReplicasMismatch, "")), hasCode(err, replicasNotSupported),
			errors.Is(err, ErrTooFewServers) && time.Since(began) > serversTime:
			err = backoff.Permanent(err)
		}
		return number, err
	}, failed)
}

// decideReplicas is one attempt of DecideReplicas.
func decideReplicas(ctx context.Context, js jetstream.JetStream, wanted int) (int, error) {
	kept, err := readReplicas(ctx, js.Conn())
	if err == nil && kept.number == 0 { // of several processes that start together, one creates the bucket, and others try again
		first := wanted
		if first == 0 {
			first = allowedReplicas(js.Conn())
		}
		if _, err = createBucket(ctx, js, clusterBucket, clusterDescription, first); err == nil {
			kept, err = readReplicas(ctx, js.Conn())
		}
	}
	if err == nil && !kept.written {
		err = kept.write(ctx, js)
	}
	switch {
	case err != nil:
		return 0, err
	case wanted != 0 && wanted != kept.number:
		return 0, protocol.Errorf(protocol.CodeReplicasMismatch, "it keeps %d, and --replicas is %d", kept.number, wanted)
	}
	return kept.number, nil
}

// keptReplicas is what the bucket of the cluster says of the number of replicas. Without the key it is that of the
// bucket: another process has just created it, or a release that did not know the key.
type keptReplicas struct {
	number   int    // 0 if there is no bucket
	written  bool   // whether the key exists
	revision uint64 // of the key
}

func readReplicas(ctx context.Context, conn *nats.Conn) (kept keptReplicas, err error) {
	entry, err := Get(ctx, conn, clusterBucket, replicasKey)
	switch {
	case IsMissing(err):
		return kept, nil
	case err != nil:
		return kept, err
	case entry.Exists:
		number, err := strconv.Atoi(string(entry.Value))
		if err != nil || number < 1 || number > protocol.MaxReplicas {
			return kept, protocol.Errorf(protocol.CodeCorrupt, "the number of replicas in bucket %s is %.40q; write the right one, such as 3, with: nats kv put %s %s 3",
				clusterBucket, entry.Value, clusterBucket, replicasKey)
		}
		return keptReplicas{number, true, entry.Revision}, nil
	}
	info, err := streamInfo(ctx, conn, "KV_"+clusterBucket, clusterBucket) // no subject has this name
	if IsMissing(err) {
		return kept, nil
	}
	return keptReplicas{number: info.Config.Replicas, revision: entry.Revision}, err
}

// write writes the key.
func (k keptReplicas) write(ctx context.Context, js jetstream.JetStream) error {
	kv, err := js.KeyValue(ctx, clusterBucket)
	if err != nil {
		return err
	}
	_, err = kv.Update(ctx, replicasKey, []byte(strconv.Itoa(k.number)), k.revision)
	if IsConflict(err) { // another process was faster, and has the number from the same bucket
		return nil
	}
	return err
}

// ClusterReplicas returns how many replicas the streams of the cluster have that are created from now on. It asks the
// leader of the bucket of the cluster.
func ClusterReplicas(ctx context.Context, conn *nats.Conn) (int, error) {
	kept, err := readReplicas(ctx, conn)
	switch {
	case err != nil:
		return 0, fmt.Errorf("look up the number of replicas: %w", err)
	case kept.number == 0:
		return allowedReplicas(conn), nil
	}
	return kept.number, nil
}

// Replicas is ClusterReplicas for the bucket of members, which is created within a moment or later. If the number
// cannot be read, Replicas returns one that JetStream refuses, so that nothing is created with a wrong one.
func Replicas(conn *nats.Conn) int {
	const (
		patience = 500 * time.Millisecond
		refused  = -1
	)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	number, err := ClusterReplicas(ctx, conn)
	if err != nil {
		return refused
	}
	return number
}

// allowedReplicas returns how many replicas the servers of a connection allow: one on a single server, three in a
// cluster.
func allowedReplicas(conn *nats.Conn) int {
	if conn.ConnectedClusterName() == "" {
		return 1
	}
	return defaultReplicas
}
