package client

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// Gap is a range of offsets of a partition for which a consumer gets no records.
type Gap struct {
	Topic       string
	Partition   int32
	First, Last int64 // offsets
	// Err is nil if the log says that these offsets hold no records. Otherwise there
	// are records that cannot be read, for this reason, and SkipCorrupt passes over
	// them.
	Err *protocol.Error
}

// String returns a line for people.
func (g Gap) String() string {
	what := "there are no records"
	if g.Err != nil {
		what = "records cannot be read"
	}
	offsets := fmt.Sprintf("at the offsets %d to %d", g.First, g.Last)
	if g.First == g.Last {
		offsets = fmt.Sprintf("at offset %d", g.First)
	}
	text := fmt.Sprintf("%s/%d: %s %s; continuing at offset %d", g.Topic, g.Partition, what, offsets, g.Last+1)
	if g.Err != nil {
		text += fmt.Sprintf(" (%v)", g.Err)
	}
	return text
}

// errSkipped ends a request that another one continues behind a gap.
var errSkipped = errors.New("continues behind records that cannot be read")

// gapIn returns the gap that a status tells of, or nil if it tells of none, or of one
// that the consumer does not pass over.
func (s *session) gapIn(m *nats.Msg) (*Gap, error) {
	p := s.progress
	g := &Gap{Topic: p.options.Topic, Partition: p.partition}
	if m.Header.Get(protocol.HeaderStatus) != protocol.StatusGap {
		if m.Header.Get(protocol.HeaderError) == "" || m.Header.Get(protocol.HeaderGapTo) == "" || !p.options.SkipCorrupt {
			return nil, nil
		}
		if g.Err = readError(m); g.Err.Code != protocol.CodeCorrupt {
			return nil, nil
		}
	}
	var err error
	if g.First, err = natural(m, protocol.HeaderGapFrom); err == nil {
		g.Last, err = natural(m, protocol.HeaderGapTo)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch %s: %w", s.subject(), err)
	case g.Last < g.First, p.placed && g.First != p.next:
		return nil, s.gap(fmt.Sprintf("offset %d was expected, the frontend tells of a gap from %d to %d", p.next, g.First, g.Last))
	}
	return g, nil
}

// passed notes a gap that the consumer knows of.
func (p *progress) passed(g *Gap) {
	p.next, p.placed = g.Last+1, true
	p.served, p.failures = true, 0
}
