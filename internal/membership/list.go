package membership

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// Listed is a member as others see it.
type Listed struct {
	Role     string    `json:"role"`
	Instance string    `json:"instance"`
	Version  string    `json:"version,omitempty"` // of the binary
	Since    time.Time `json:"since,omitzero"`    // when the instance has started, by its own clock
	Draining bool      `json:"draining,omitempty"`
	// Gone says that the instance owns logs, and its key has expired. Another one takes them over.
	Gone bool  `json:"gone,omitempty"`
	Logs []int `json:"logs,omitempty"` // that the instance owns
}

// List returns the members of all roles and other owners of logs, sorted by role and instance. A bucket that does
// not exist has none. List retries until ctx ends, because a bucket may have no leader for seconds.
func List(ctx context.Context, js jetstream.JetStream) ([]Listed, error) {
	return kvbucket.Retry(ctx, func(ctx context.Context) ([]Listed, error) { return list(ctx, js) })
}

// list is one attempt of List.
func list(ctx context.Context, js jetstream.JetStream) (list []Listed, err error) {
	all, err := members(ctx, js, "")
	if err != nil && !kvbucket.IsMissing(err) {
		return nil, err
	}
	for _, m := range all {
		list = append(list, Listed{Role: m.role, Instance: m.instance, Version: m.Version, Since: time.Unix(m.Since, 0).UTC(), Draining: m.Draining})
	}
	records, _, err := kvbucket.Records(ctx, js, recordsBucket, "")
	if err != nil && !kvbucket.IsMissing(err) {
		return nil, err
	}
	for _, r := range records {
		if list, err = addOwners(list, r); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Instance, b.Instance))
	})
	return list, nil
}

// addOwners adds what the record of a role says of the owners of logs. Those that have given a log up do not count.
func addOwners(list []Listed, stored kvbucket.Record) ([]Listed, error) {
	switch {
	case stored.Unreadable:
		return nil, protocol.Errorf(protocol.CodeCorrupt, "%s of bucket %s cannot be read", stored.Key, recordsBucket)
	case !stored.Exists:
		return list, nil
	}
	record, err := decodeRecord(stored.Key, stored.Value)
	if err != nil {
		return nil, err
	}
	for n, l := range record.Logs {
		if l.Owner == "" || !l.OwnedBy(l.Owner) {
			continue
		}
		at := slices.IndexFunc(list, func(m Listed) bool { return m.Role == stored.Key && m.Instance == l.Owner })
		if at < 0 {
			at = len(list)
			list = append(list, Listed{Role: stored.Key, Instance: l.Owner, Gone: true})
		}
		list[at].Logs = append(list[at].Logs, n)
	}
	return list, nil
}
