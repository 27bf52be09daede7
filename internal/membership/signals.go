package membership

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/core/member"
	"laneway.dev/pkg/protocol"
)

// written is the subject on which members say that they have written the record of a role, by an empty message.
func written(role string) string { return "_laneway.members." + role + ".written" }

// drain is the subject on which an instance is asked to hand over what it owns, by an empty request. It is answered
// by an empty message.
func drain(role, instance string) string { return "_laneway.members." + role + ".drain." + instance }

// listen takes signals until the actor ends. Without that the instance looks every third of the TTL, and cannot be
// asked to drain.
func (m *Member) listen() (end func()) {
	var all []*nats.Subscription
	for subject, take := range map[string]nats.MsgHandler{
		written(m.config.Role): func(*nats.Msg) { _ = m.mailbox.Offer(member.Hint{}) }, // if it is dropped, the next look is due soon anyway
		drain(m.config.Role, m.config.Instance): func(request *nats.Msg) {
			if m.mailbox.Offer(member.Drain{}) == nil {
				_ = request.Respond(nil) // who asks looks whether it was done
			}
		},
	} {
		if sub, err := m.config.Conn.Subscribe(subject, take); err == nil {
			all = append(all, sub)
		}
	}
	return func() {
		for _, sub := range all {
			_ = sub.Unsubscribe() // an error means that there is nothing to end
		}
	}
}

// Drain asks an instance to hand over all logs that it owns in a role. It returns when the instance knows that. The error has
// the code UNAVAILABLE if the instance does not answer, or its role shares no logs.
func Drain(ctx context.Context, conn *nats.Conn, role, instance string) error {
	_, err := conn.RequestWithContext(ctx, drain(role, instance), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return protocol.Errorf(protocol.CodeUnavailable, "the %s of %s is not connected, or the role shares no logs", role, instance)
	case err != nil:
		return protocol.NewError(protocol.CodeUnavailable, fmt.Sprintf("the %s of %s does not answer: %v", role, instance, err))
	}
	return nil
}
