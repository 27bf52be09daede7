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
	_, err := b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: membersBucket, Description: "Laneway: instances of the services", Storage: jetstream.MemoryStorage,
		Replicas: kvbucket.Replicas(b.conn), LimitMarkerTTL: b.ttl,
	})
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		return fmt.Errorf("create bucket %s: %w", membersBucket, err)
	}
	if !b.logs {
		return nil
	}
	if _, err := kvbucket.OpenBucket(ctx, b.js, recordsBucket, "Laneway: which instance owns which log"); err != nil {
		return fmt.Errorf("create bucket %s: %w", recordsBucket, err)
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
	s := storedRecord{Format: format, Version: r.Version, By: r.By}
	for _, l := range r.Logs {
		s.Logs = append(s.Logs, storedLog(l))
	}
	return json.Marshal(s)
}

func decodeRecord(key string, value []byte) (r assignment.Record, err error) {
	var s storedRecord
	if err := decode(recordsBucket, key, value, &s, func() int { return s.Format }); err != nil {
		return r, err
	}
	r.Version, r.By = s.Version, s.By
	for _, l := range s.Logs {
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
	members, err := members(ctx, b.js, b.prefix())
	if err != nil {
		return looked, err
	}
	for _, m := range members {
		looked.Keys = append(looked.Keys, member.Found{
			Instance: m.instance, Revision: m.revision, Key: member.Key{Rule: m.Rule, Draining: m.Draining, Knows: m.Knows},
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

// stored is a key with what it says.
type stored struct {
	storedKey
	role, instance string
	revision       uint64
}

// members reads the keys of members from the leader of the bucket: all of them, or those below the prefix of a role.
func members(ctx context.Context, js jetstream.JetStream, below string) (members []stored, err error) {
	records, _, err := kvbucket.Records(ctx, js, membersBucket, below)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		switch {
		case r.Unreadable:
			return nil, protocol.Errorf(protocol.CodeCorrupt, "%s of bucket %s cannot be read", r.Key, membersBucket)
		case !r.Exists:
			continue // it has expired, and a marker says so
		}
		m := stored{revision: r.Revision}
		if err := decode(membersBucket, r.Key, r.Value, &m.storedKey, func() int { return m.Format }); err != nil {
			return nil, err
		}
		m.role, m.instance, _ = strings.Cut(r.Key, ".")
		members = append(members, m)
	}
	return members, nil
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
