package produce

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/transport"
)

// change replaces the subjects. Requests to subjects that stay are handled once, apart from the
// exception below, and those that were delivered on other subjects are still handled. When
// change returns, the server has the new subscriptions, and everything that was delivered by the
// old ones is handled or in the collector.
//
// The subscriptions of a collector stay, and others are added or left. An intake without a
// collector gets one together with the second subject, and keeps it from then on. That
// replaces its only subscription: the collector subscribes to the subject before the callback
// leaves it, so that the server always has a subscription. What the collector receives is
// handled after everything that the callback has received.
//
// For the moment in which both subscriptions exist, the server chooses one of them for each
// request. If it receives two requests of one connection in this moment, the second one may be
// handled first. If the server has chosen the old subscription for a request just before it ends
// that one, it delivers the request to nobody, and the request has no answer. A longer moment
// makes this rarer, and requests in the wrong order more frequent. NATS has no way to replace a
// subscription that avoids both.
func (in *intake) change(ctx context.Context, subjects []string) error {
	in.changing.Lock()
	defer in.changing.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, closeTimeout, errors.New("the subscriptions have not drained"))
	defer cancel()
	leave, begins, err := in.exchange(subjects)
	if begins != nil {
		defer close(begins)
	}
	drained := transport.BeginDrain(leave...)
	if err == nil {
		err = in.conn.Conn().FlushWithContext(ctx)
	}
	return errors.Join(err, drained(ctx))
}

// exchange subscribes to the subjects that are new, and returns the subscriptions to leave. If
// begins is not nil, the caller MUST close it after that, for the collector to handle what it
// receives. During a pause nothing is subscribed to, and its end subscribes to the subjects.
func (in *intake) exchange(subjects []string) (leave []*nats.Subscription, begins chan struct{}, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := in.subjects
	in.subjects = subjects
	if in.paused || in.closed {
		return nil, nil, nil
	}
	if in.collector == nil && len(subjects) > 1 {
		leave, in.subs = in.subs, nil
		begins = make(chan struct{})
		in.collect(begins)
		return leave, begins, in.subscribe(subjects)
	}
	added := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { return slices.Contains(before, s) })
	if err := in.subscribe(added); err != nil {
		return nil, nil, err
	}
	in.subs = slices.DeleteFunc(in.subs, func(sub *nats.Subscription) bool {
		gone := !slices.Contains(subjects, sub.Subject)
		if gone {
			leave = append(leave, sub)
		}
		return gone
	})
	return leave, nil, nil
}
