package sweepstate

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// behindKey has the logs that are older than the object store, while the alarm stands that says so.
	behindKey = "behind"
	// maxBehind bounds the logs that are named, and with them the size of the value. If there are
	// more, all logs count.
	maxBehind = 1000
	// maxReason bounds the reason of each of them, in bytes.
	maxReason = 160
)

// Behind names the logs that are older than the object store. Their owners append nothing, because
// the store may have records at the next offsets of the log. It does not change after it was read or
// noted.
type Behind struct {
	// All says that all logs are, because there are too many to name.
	All bool `json:"all,omitempty"`
	// Reason is why all logs are, or those whose own reason is empty.
	Reason string `json:"reason,omitempty"`
	// Logs has the reasons, by the name of the log. The next incarnation of a log has another name,
	// so a repair ends that the log is behind.
	Logs map[string]string `json:"logs,omitempty"`
}

// NewBehind returns a value without logs; reason is that of all.
func NewBehind(reason string) *Behind { return &Behind{Reason: reason, Logs: make(map[string]string)} }

// Add names a log, with its own reason unless that is the one of all.
func (b *Behind) Add(p protocol.Partition, reason string) {
	if reason == b.Reason {
		reason = ""
	}
	b.Logs[messages.LogName(p)] = reason[:min(len(reason), maxReason)]
}

// bounded returns b with at most maxBehind logs.
func (b *Behind) bounded() *Behind {
	if len(b.Logs) <= maxBehind {
		return b
	}
	return &Behind{All: true, Reason: b.Reason}
}

// Damage describes to operators and producers that a log is behind, and what to do; "" if it is not. A
// nil b names no log.
func (b *Behind) Damage(p protocol.Partition) string {
	if b == nil {
		return ""
	}
	name := messages.LogName(p)
	reason, named := b.Logs[name]
	switch {
	case !named && !b.All:
		return ""
	case reason == "":
		reason = b.Reason
	}
	return fmt.Sprintf("its log %s is older than the object store (%s): restore newer data of NATS, or the store that belongs to it; "+
		"otherwise continue the log with laneway topic repair %s, or accept it as it is with laneway store accept", name, reason, p.Topic)
}

// Logs returns the logs that are behind; nil if there are none.
func Logs(ctx context.Context, conn *nats.Conn) (*Behind, error) {
	found, err := Get(ctx, conn, behindKey)
	if err != nil || !found.Exists {
		return nil, err
	}
	b := new(Behind)
	if err := json.Unmarshal(found.Value, b); err != nil {
		return nil, protocol.Errorf(protocol.CodeCorrupt, "the key %s in bucket %s is %.80q", behindKey, Bucket, found.Value)
	}
	return b, nil
}

// NoteBehind keeps which logs are behind; nil means that none is.
func NoteBehind(ctx context.Context, js jetstream.JetStream, b *Behind) error {
	if b == nil {
		return note(ctx, js, behindKey, "")
	}
	value, err := json.Marshal(b.bounded())
	if err != nil {
		return err
	}
	return note(ctx, js, behindKey, string(value))
}
