package membership

import (
	"context"
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
func List(ctx context.Context, js jetstream.JetStream) (list []Listed, err error) {
	all, err := members(ctx, js, "")
	if err != nil && !kvbucket.IsMissing(err) {
		return nil, err
	}
	for _, m := range all {
		list = append(list, Listed{Role: m.role, Instance: m.instance, Version: m.Version, Since: time.Unix(m.Since, 0).UTC(), Draining: m.Draining})
	}
	return list, nil
}
