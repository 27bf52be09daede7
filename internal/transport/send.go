package transport

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
)

// Send publishes the envelopes of one turn: those to the same subject together, in their order,
// as one NATS message, or several if one would be too large. Messages that cannot be sent are
// lost, and the heartbeat of the lanes repairs that. The failure is logged, except while the
// connection is down, which is logged by itself.
func (c *Connection) Send(envelopes []messages.Envelope) {
	if len(envelopes) == 1 { // most often
		c.lost(envelopes[0].Subject, c.publishOne(envelopes[0].Subject, envelopes[0].Message))
		return
	}
	for _, g := range bySubject(envelopes) {
		for rest := g.all; len(rest) > 0; {
			parcel := messages.Parcel(rest)
			rest = rest[len(parcel):]
			c.lost(g.subject, c.publish(g.subject, parcel))
		}
	}
}

// lost logs the error of messages that could not be sent, if there is one.
func (c *Connection) lost(subject string, err error) {
	if err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		c.log.Warn("messages could not be sent; they will be repeated", zap.String("subject", subject), zap.Error(err))
	}
}

// group is the messages to one subject.
type group struct {
	subject string
	all     []messages.Message
}

// bySubject returns the messages by subject, in the order of the first one of each subject. A
// turn has few subjects: those of some logs, frontends and stagers.
func bySubject(envelopes []messages.Envelope) []group {
	var groups []group
	at := 0 // group of the last envelope: most often the next one belongs to it, too
	for i := range envelopes {
		e := &envelopes[i]
		if at >= len(groups) || groups[at].subject != e.Subject {
			for at = 0; at < len(groups) && groups[at].subject != e.Subject; at++ {
				continue
			}
			if at == len(groups) {
				groups = append(groups, group{subject: e.Subject})
			}
		}
		groups[at].all = append(groups[at].all, e.Message)
	}
	return groups
}

// publish sends a parcel. Cores bound messages by their items, for the usual max_payload; a
// server may have a lower one.
func (c *Connection) publish(subject string, parcel []messages.Message) (err error) {
	if len(parcel) == 1 {
		return c.publishOne(subject, parcel[0])
	}
	messages.EncodeParcelFor(parcel, func(data []byte, ends []int) {
		err = c.publishCut(subject, parcel, data, ends)
	})
	return err
}

// publishCut publishes an encoded parcel in as few parts as max_payload allows.
func (c *Connection) publishCut(subject string, parcel []messages.Message, data []byte, ends []int) error {
	limit := int(c.conn.MaxPayload())
	var errs []error
	for from, start := 0, 0; from < len(ends); {
		to := from + 1
		for to < len(ends) && ends[to]-start <= limit {
			to++
		}
		if ends[to-1]-start <= limit {
			errs = append(errs, c.conn.Publish(subject, data[start:ends[to-1]])) // which copies it
		} else {
			errs = append(errs, c.publishOne(subject, parcel[from]))
		}
		from, start = to, ends[to-1]
	}
	return errors.Join(errs...)
}

// publishOne sends a message, in halves if it exceeds max_payload.
func (c *Connection) publishOne(subject string, m messages.Message) (err error) {
	messages.EncodeFor(m, func(data []byte) {
		err = c.conn.Publish(subject, data) // which copies it
	})
	if !errors.Is(err, nats.ErrMaxPayload) {
		return err
	}
	first, second, divisible := messages.Halves(m)
	if !divisible {
		return fmt.Errorf("%w: max_payload is %d", err, c.conn.MaxPayload())
	}
	return errors.Join(c.publishOne(subject, first), c.publishOne(subject, second))
}
