package topics

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Incarnation describes one incarnation of a log.
type Incarnation struct {
	Partition protocol.Partition
	Exists    bool   // its stream exists
	Last      uint64 // sequence of its last entry
	// Reserved is the position that its mark reserves; zero if it has no mark.
	Reserved messages.Position
	// Used reports whether the incarnation had an owner. An owner claims only a log that the
	// topic's record names. So a record that names an earlier incarnation is older than its
	// log.
	Used bool
}

// Later returns the incarnations of a log above that of p, in their order. An interrupted
// repair leaves unused ones. A used one shows that the topic's record was restored from an
// old copy, or was damaged: JetStream returns the previous value of a key then.
func Later(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, p protocol.Partition) ([]Incarnation, error) {
	byNumber := make(map[uint32]*Incarnation)
	of := func(n uint32) *Incarnation {
		if byNumber[n] == nil {
			byNumber[n] = &Incarnation{Partition: p}
			byNumber[n].Partition.Incarnation = n
		}
		return byNumber[n]
	}
	logs, err := partitionlog.List(ctx, conn, js, partitionlog.Which{TopicID: p.TopicID})
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if n := l.Partition.Incarnation; l.Partition.Number == p.Number && n > p.Incarnation {
			i := of(n)
			i.Exists, i.Last, i.Used = true, l.Last, l.Used
		}
	}
	written, err := marks.New(conn, js).Later(ctx, p)
	if err != nil {
		return nil, err
	}
	for n, mark := range written {
		i := of(n)
		i.Reserved = mark.Reserved
		i.Used = i.Used || mark.Owner != marks.ByRepair
	}
	var all []Incarnation
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		all = append(all, *byNumber[n])
	}
	return all, nil
}
