package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

const (
	// membersBucket has a key for each member of each role, which expires. It is kept in memory: keys are renewed all
	// the time, and each renewal would be a sync of a disk otherwise.
	membersBucket = "LANEWAY_MEMBERS"
	// recordsBucket has a record for each role that owns logs.
	recordsBucket = "LANEWAY_ASSIGNMENTS"
)

// bucket is the parts of the buckets that belong to one role.
type bucket struct {
	conn *nats.Conn
	js   jetstream.JetStream
	role string
	ttl  time.Duration
	logs bool // whether the role owns any
}

func (b *bucket) prefix() string { return b.role + "." }

func subject(bucket, key string) string { return "$KV." + bucket + "." + key }

// create creates the buckets if they do not exist.
func (b *bucket) create(ctx context.Context) error {
	err := b.createOne(ctx, jetstream.KeyValueConfig{
		Bucket: membersBucket, Description: "Laneway: instances of the services", Storage: jetstream.MemoryStorage, LimitMarkerTTL: b.ttl,
	})
	if b.logs && err == nil {
		err = b.createOne(ctx, jetstream.KeyValueConfig{
			Bucket: recordsBucket, Description: "Laneway: which instance owns which log", Storage: jetstream.FileStorage,
		})
	}
	return err
}

func (b *bucket) createOne(ctx context.Context, config jetstream.KeyValueConfig) error {
	config.Replicas = kvbucket.Replicas(b.conn)
	_, err := b.js.CreateKeyValue(ctx, config)
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		return fmt.Errorf("create bucket %s: %w", config.Bucket, err)
	}
	return nil
}

// storedKey and storedRecord are what the bucket has, as JSON.
type (
	storedKey struct {
		Format   int    `json:"format"`
		Rule     uint32 `json:"rule"`
		Draining bool   `json:"draining,omitempty"`
		Knows    uint64 `json:"knows"`
		Version  string `json:"version"` // of the binary
		Since    int64  `json:"since"`   // when the instance has started, in Unix seconds of its own clock
	}
	storedRecord struct {
		Format  int         `json:"format"`
		Version uint64      `json:"version"`
		By      string      `json:"by"`
		Logs    []storedLog `json:"logs"`
	}
	storedLog struct {
		Owner  string   `json:"owner"`
		Epoch  uint64   `json:"epoch"`
		Next   string   `json:"next,omitempty"`
		Failed []string `json:"failed,omitempty"`
	}
)

// format is the version of the format of keys and of records.
const format = 1

func encodeRecord(r assignment.Record) ([]byte, error) {
	stored := storedRecord{Format: format, Version: r.Version, By: r.By}
	for _, l := range r.Logs {
		stored.Logs = append(stored.Logs, storedLog(l))
	}
	return json.Marshal(stored)
}

func decodeRecord(key string, value []byte) (r assignment.Record, err error) {
	var stored storedRecord
	if err := decode(recordsBucket, key, value, &stored, func() int { return stored.Format }); err != nil {
		return r, err
	}
	r.Version, r.By = stored.Version, stored.By
	for _, l := range stored.Logs {
		r.Logs = append(r.Logs, assignment.Log(l))
	}
	return r, nil
}

func decode(bucket, key string, value []byte, into any, is func() int) error {
	err := json.Unmarshal(value, into)
	if err == nil && is() != format {
		err = fmt.Errorf("format %d, and this release knows %d", is(), format)
	}
	if err != nil {
		return protocol.Errorf(protocol.CodeCorrupt, "%s of bucket %s: %v", key, bucket, err)
	}
	return nil
}

// look reads the keys and then the record of the role from the leaders of the buckets.
func (b *bucket) look(ctx context.Context) (looked member.Looked, err error) {
	state, err := kvbucket.Subjects(ctx, b.conn, "KV_"+membersBucket, subject(membersBucket, b.prefix()+">"))
	if err != nil {
		return looked, fmt.Errorf("list bucket %s: %w", membersBucket, err)
	}
	for s := range state.Subjects {
		key := strings.TrimPrefix(s, subject(membersBucket, ""))
		entry, err := kvbucket.Get(ctx, b.conn, membersBucket, key)
		if err != nil {
			return looked, err
		}
		if !entry.Exists {
			continue // it has expired, and a marker says so
		}
		k, err := decodeKey(key, entry.Value)
		if err != nil {
			return looked, err
		}
		looked.Keys = append(looked.Keys, member.Found{
			Instance: strings.TrimPrefix(key, b.prefix()), Revision: entry.Revision,
			Key: member.Key{Rule: k.Rule, Draining: k.Draining, Knows: k.Knows},
		})
	}
	if !b.logs {
		return looked, nil
	}
	entry, err := kvbucket.Get(ctx, b.conn, recordsBucket, b.role)
	looked.Revision = entry.Revision
	if err == nil && entry.Exists {
		looked.Record, err = decodeRecord(b.role, entry.Value)
	}
	return looked, err
}

func decodeKey(key string, value []byte) (k storedKey, err error) {
	err = decode(membersBucket, key, value, &k, func() int { return k.Format })
	return k, err
}

// renew replaces the key of an instance if its revision is the expected one, 0 if there is none.
//
// The client's Update would drop the TTL of the key.
func (b *bucket) renew(ctx context.Context, instance string, k storedKey, expect uint64) (revision uint64, err error) {
	key := b.prefix() + instance
	if expect == 0 {
		entry, err := kvbucket.Get(ctx, b.conn, membersBucket, key)
		if err != nil {
			return 0, err
		}
		expect = entry.Revision // of what marks the end of the last one
	}
	k.Format = format
	value, err := json.Marshal(k)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: subject(membersBucket, key), Data: value, Header: nats.Header{jetstream.MsgTTLHeader: {b.ttl.String()}}}
	return b.replace(ctx, m, membersBucket, expect)
}

// replace publishes the value of a key if its revision is the expected one.
func (b *bucket) replace(ctx context.Context, m *nats.Msg, bucket string, expect uint64) (revision uint64, err error) {
	ack, err := b.js.PublishMsg(ctx, m,
		jetstream.WithExpectLastSequencePerSubject(expect), jetstream.WithExpectStream("KV_"+bucket), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", m.Subject, err)
	}
	return ack.Sequence, nil
}

// write replaces the record if its revision is the expected one, 0 if there is none.
func (b *bucket) write(ctx context.Context, r assignment.Record, expect uint64) error {
	value, err := encodeRecord(r)
	if err != nil {
		return err
	}
	_, err = b.replace(ctx, &nats.Msg{Subject: subject(recordsBucket, b.role), Data: value}, recordsBucket, expect)
	return err
}

// remove removes the key of an instance, so that others need not wait until it expires.
func (b *bucket) remove(ctx context.Context, instance string) error {
	kv, err := b.js.KeyValue(ctx, membersBucket)
	if err == nil {
		err = kv.Purge(ctx, b.prefix()+instance, jetstream.PurgeTTL(b.ttl))
	}
	if err != nil {
		return fmt.Errorf("remove %s of bucket %s: %w", b.prefix()+instance, membersBucket, err)
	}
	return nil
}
