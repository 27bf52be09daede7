package membership

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
)

// Listed is a member as others see it.
type Listed struct {
	Role     string    `json:"role"`
	Instance string    `json:"instance"`
	Version  string    `json:"version"` // of the binary
	Since    time.Time `json:"since"`   // when the instance has started, by its own clock
	Draining bool      `json:"draining,omitempty"`
}

// List returns the members of all roles, sorted by role and instance. A bucket that does not exist has none.
func List(ctx context.Context, js jetstream.JetStream) (members []Listed, err error) {
	records, _, err := kvbucket.Records(ctx, js, membersBucket)
	if err != nil && !kvbucket.IsMissing(err) {
		return nil, err
	}
	for _, r := range records {
		if r.Unreadable {
			return nil, fmt.Errorf("%s of bucket %s cannot be read", r.Key, membersBucket)
		}
		if !r.Exists {
			continue // it has expired
		}
		k, err := decodeKey(r.Key, r.Value)
		if err != nil {
			return nil, err
		}
		role, instance, _ := strings.Cut(r.Key, ".")
		members = append(members, Listed{Role: role, Instance: instance, Version: k.Version, Since: time.Unix(k.Since, 0).UTC(), Draining: k.Draining})
	}
	return members, nil
}
