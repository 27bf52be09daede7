// Package kvbucket reads and writes streams and key-value buckets where the NATS client alone
// is not correct: with several replicas, which may lag, and with damaged files.
package kvbucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
)

// noMessage is JetStream's code for a message that does not exist.
const noMessage jetstream.ErrorCode = 10037

// Entry is what a bucket has of a key.
type Entry struct {
	Exists   bool
	Value    []byte
	Revision uint64 // to expect in an update: also of a key that was removed; 0 if there was none ever
}

// Get returns the entry of a key. It asks the leader of the bucket. The NATS client's own Get
// and Create ask any replica, which may lag. An error with the code CORRUPT means that the key
// exists and JetStream cannot read it, because the file of the bucket is damaged. Such a key
// cannot be overwritten either: JetStream fails to remove the old value, and treats that as an
// error of its disk.
func Get(ctx context.Context, conn *nats.Conn, bucket, key string) (Entry, error) {
	e, err := get(ctx, conn, bucket, key)
	if err == nil && e.Revision == 0 {
		e, err = getListed(ctx, conn, bucket, key)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("get %s of bucket %s: %w", key, bucket, err)
	}
	return e, nil
}

// OpenBucket opens a bucket, and creates it with the replicas of the cluster if it does not exist. An
// existing bucket keeps its number of replicas.
func OpenBucket(ctx context.Context, js jetstream.JetStream, name, description string) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	replicas, err := ClusterReplicas(ctx, js.Conn())
	if err != nil {
		return nil, err
	}
	return createBucket(ctx, js, name, description, replicas)
}

func createBucket(ctx context.Context, js jetstream.JetStream, name, description string, replicas int) (jetstream.KeyValue, error) {
	provenance, err := Provenance(ctx, js)
	if err != nil {
		return nil, err
	}
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: name, Description: description, History: 1, Storage: jetstream.FileStorage, Replicas: replicas,
		Metadata: provenance,
	})
	if tooFewServers(err) {
		return nil, fmt.Errorf("%w: %d are needed for bucket %s: %w", ErrTooFewServers, replicas, name, err)
	}
	return kv, err
}

// getListed looks again for a key that was not found. If the bucket lists the key, it was
// written in the meantime or cannot be read.
func getListed(ctx context.Context, conn *nats.Conn, bucket, key string) (Entry, error) {
	state, err := Subjects(ctx, conn, "KV_"+bucket, subjectOf(bucket, key))
	if err != nil || state.Subjects[subjectOf(bucket, key)] == 0 {
		return Entry{}, err
	}
	e, err := get(ctx, conn, bucket, key)
	if err == nil && e.Revision == 0 {
		err = protocol.Errorf(protocol.CodeCorrupt, "JetStream cannot read %s of bucket %s", key, bucket)
	}
	return e, err
}

func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }

func get(ctx context.Context, conn *nats.Conn, bucket, key string) (Entry, error) {
	e, _, err := ask(ctx, conn, bucket, map[string]any{"last_by_subj": subjectOf(bucket, key)})
	return e, err
}

// ask gets a message of a bucket's stream, and its subject, from its leader.
func ask(ctx context.Context, conn *nats.Conn, bucket string, which map[string]any) (e Entry, subject string, err error) {
	request, err := json.Marshal(which)
	if err != nil {
		return Entry{}, "", err
	}
	m, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+bucket, request)
	if err != nil {
		return Entry{}, "", err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string `json:"subject"`
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return Entry{}, "", err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == noMessage:
		return Entry{}, "", nil
	case answer.Error != nil:
		return Entry{}, "", answer.Error
	}
	removed, err := isMarker(answer.Message.Header)
	e = Entry{Exists: !removed && err == nil, Value: answer.Message.Data, Revision: answer.Message.Sequence}
	return e, answer.Message.Subject, err
}

// JetStream's codes for a failed compare-and-set: a lone server answers the
// first one, a cluster also the second.
const (
	wrongLastSequence         jetstream.ErrorCode = 10071
	wrongLastSequenceConstant jetstream.ErrorCode = 10164
)

// IsConflict reports whether an update has failed because another writer was first.
func IsConflict(err error) bool {
	return hasCode(err, wrongLastSequence) || hasCode(err, wrongLastSequenceConstant)
}

// IsMissing reports whether a request has failed because the stream of the bucket does not exist.
func IsMissing(err error) bool {
	return hasCode(err, jetstream.JSErrCodeStreamNotFound)
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}

// isMarker reports whether a message marks a key as removed.
func isMarker(header []byte) (bool, error) {
	if len(header) == 0 {
		return false, nil
	}
	// JetStream's checksum does not cover the length of the headers. If it is damaged, the
	// headers include a part of the value.
	h, err := nats.DecodeHeadersMsg(header)
	if err == nil && !bytes.HasSuffix(header, []byte("\r\n\r\n")) {
		err = errors.New("they do not end where they should")
	}
	if err != nil {
		return false, protocol.Errorf(protocol.CodeCorrupt, "its headers: %v", err)
	}
	return h.Get("KV-Operation") != "" || h.Get("Nats-Marker-Reason") != "", nil
}
