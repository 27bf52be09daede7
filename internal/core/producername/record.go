// Package producername decides how the record of a named producer changes: which id and epoch an
// instance gets, and whether a newer instance has taken its place.
//
// Instances of one name replace each other: each gets a higher epoch than the one before,
// and partitions then reject batches of lower epochs. An answer may be lost, so an
// instance that asks again gets the epoch that it has, unless it was replaced in the meantime.
// An example with the instances a and b:
//
//	a: Next    epoch 0
//	b: Next    epoch 1
//	b: Next    epoch 1, because the answer was lost
//	a: Next    INVALID_EPOCH
//
// The record is replaced by compare-and-set. The package decides and does nothing else: its
// caller reads and writes the record, and supplies random ids.
package producername

import (
	"slices"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// maxTopics bounds the topics that a record remembers, maxInstances the instances.
	maxTopics    = 256
	maxInstances = 16
)

// Record is what is known of a name. The zero value means that nothing is. A Record is never
// changed: methods return another one.
type Record struct {
	Name   string   `json:"name"`
	ID     int64    `json:"id,string"`
	Epoch  int16    `json:"epoch"`
	Topics []uint64 `json:"topics,omitempty"` // on which the producer was fenced, the most recent ones last
	// Instances are the named instances with the last epochs; the newest is the last one.
	Instances []string `json:"instances,omitempty"`
}

// Fence returns the identity of the newest instance, with which partitions refuse the batches
// of all earlier ones.
func (r Record) Fence() messages.ProducerFence {
	return messages.ProducerFence{ProducerID: r.ID, ProducerEpoch: r.Epoch, Name: r.Name}
}

// Next returns the record for the next instance of the producer. It is the same record if the
// instance is the newest one and asks again. An instance without a name always gets another
// epoch. id is for a name without a record, and for one whose epochs are used up. The error
// has the code INVALID_EPOCH if a younger instance has asked since.
func (r Record) Next(name, instance string, id int64) (next Record, changed bool, err *protocol.Error) {
	switch at := slices.Index(r.Instances, instance); {
	case instance == "" || at < 0:
	case at == len(r.Instances)-1:
		return r, false, nil
	default:
		return Record{}, false, protocol.Errorf(protocol.CodeInvalidEpoch, "producer %q: a younger instance than %q has asked since", name, instance)
	}
	r.Instances = append(slices.Clone(r.Instances), instance)
	r.Instances = r.Instances[max(0, len(r.Instances)-maxInstances):]
	if r.ID == 0 {
		r.Name, r.ID = name, id
		return r, true, nil
	}
	return r.advance(id), true, nil
}

// Surpass returns the record for an instance that needs an epoch above the one that a
// partition has. init never gave that epoch: it came with a batch to a partition that did not
// know the producer. own is the identity of the instance. id is for a producer whose epochs
// are used up. The error has the code INVALID_EPOCH if another instance has asked since.
func (r Record) Surpass(own messages.ProducerFence, epoch int16, id int64) (Record, *protocol.Error) {
	if r.ID != own.ProducerID || r.Epoch != own.ProducerEpoch {
		return Record{}, protocol.Errorf(protocol.CodeInvalidEpoch, "producer %q: a younger instance has asked since", own.Name)
	}
	r.Epoch = max(r.Epoch, epoch)
	return r.advance(id), nil
}

// advance returns the record with the next epoch, or with another id if the epochs of this
// one are used up.
func (r Record) advance(id int64) Record {
	if r.Epoch >= protocol.MaxProducerEpoch {
		r.ID, r.Epoch = id, 0
	} else {
		r.Epoch++
	}
	return r
}

// Remember returns the record with the topics on whose partitions the producer was fenced. It
// drops the least recent topics beyond maxTopics.
func (r Record) Remember(topics []uint64) (next Record, changed bool) {
	if !slices.ContainsFunc(topics, func(id uint64) bool { return !slices.Contains(r.Topics, id) }) {
		return r, false
	}
	all := slices.DeleteFunc(slices.Clone(r.Topics), func(id uint64) bool { return slices.Contains(topics, id) })
	all = append(all, topics...)
	r.Topics = all[max(0, len(all)-maxTopics):]
	return r, true
}
