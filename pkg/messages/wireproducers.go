package messages

import (
	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// FenceProducer asks for a fence in the log (frontend to replicator). It is
// repeated until ProducerFenced answers it.
type FenceProducer struct {
	Partition protocol.Partition
	Asker     uint64 // where the answer goes, see AskerSubject
	Fence     ProducerFence
	// IfKnown means that no fence is appended if the partition knows neither the producer
	// nor its name. The answer is then POSITION_EXPIRED.
	IfKnown bool
}

// ProducerFenced reports that a fence is in the log, or why it was refused
// (replicator to frontend).
type ProducerFenced struct {
	Partition protocol.Partition
	Asker     uint64 // as in the request
	Fence     int16  // producer epoch that was asked for
	Code      protocol.Code
	Producer  KnownProducer
}

// ListProducers requests the state of producers (frontend to replicator).
type ListProducers struct {
	Partition protocol.Partition
	Asker     uint64 // where the answer goes, see AskerSubject
	Request   uint64 // names the request in the answer
	Only      int64  // the only id that is asked for; 0 is all
	After     int64  // only ids above it
	Limit     uint32
}

// Producers answers ListProducers (replicator to frontend), in the order of ids.
type Producers struct {
	Partition protocol.Partition
	Asker     uint64 // as in the request
	Request   uint64
	Total     uint64
	More      bool
	Producers []KnownProducer
}

func (FenceProducer) kind() kind  { return kindFenceProducer }
func (ProducerFenced) kind() kind { return kindProducerFenced }
func (ListProducers) kind() kind  { return kindListProducers }
func (Producers) kind() kind      { return kindProducers }

// Of returns the partition that the message concerns.
func (m FenceProducer) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ProducerFenced) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m ListProducers) Of() protocol.Partition { return m.Partition }

// Of returns the partition that the message concerns.
func (m Producers) Of() protocol.Partition { return m.Partition }

func (m FenceProducer) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	encodeFence(e, &m.Fence)
	e.Bool(m.IfKnown)
}

func (m ProducerFenced) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	e.Int(int64(m.Fence))
	e.Uint(uint64(m.Code))
	encodeKnown(e, &m.Producer)
}

func (m ListProducers) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	e.Uint(m.Request)
	e.Int(m.Only)
	e.Int(m.After)
	e.Uint(uint64(m.Limit))
}

func (m Producers) encode(e *codec.Encoder) {
	e.Uint(m.Asker)
	e.Uint(m.Request)
	e.Uint(m.Total)
	e.Bool(m.More)
	codec.WriteList(e, m.Producers, encodeKnown)
}
