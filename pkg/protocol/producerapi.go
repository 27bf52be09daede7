package protocol

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the producer API.
const (
	MaxProducerName = 128 // bytes
	MaxInstance     = 64  // bytes
	// MaxInitTopics bounds the topics of one init, because the producer is fenced on every
	// partition of these topics before the answer is sent.
	MaxInitTopics = 16
	// MaxListedProducers bounds the producers of one answer to list.
	MaxListedProducers = 1000
)

// ProducerInitRequest requests the identity of an idempotent producer. Without a name,
// it is a new producer id. With a name, it is the producer id of that name and its next
// producer epoch. The earlier instance is fenced on all partitions of the topics before
// the answer is sent, so the positions in the answer are final.
type ProducerInitRequest struct {
	Name   string   `json:"name,omitempty"`
	Topics []string `json:"topics,omitempty"` // with a name, and only then
	// Instance makes a request repeatable: the same instance gets the same producer epoch
	// again, and does not fence itself. Any unique text of up to MaxInstance bytes will do.
	Instance string `json:"instance,omitempty"`
}

// ProducerInitResponse answers init. Producer ids are above 0 and unique.
type ProducerInitResponse struct {
	Error         *Error             `json:"error,omitempty"`
	ProducerID    int64              `json:"producer_id,string"`
	ProducerEpoch int16              `json:"producer_epoch"`
	Positions     []ProducerPosition `json:"positions,omitempty"` // of every partition of the topics
}

// ProducerPosition is how far a producer has come in a partition.
type ProducerPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// LastSequence is the producer sequence of its last record in the log, or nil if there
	// is none. The next batch has the producer sequence that follows it, or 0.
	LastSequence *int32 `json:"last_sequence"`
	// Expired means that the producer may have records in the log, but the partition has
	// forgotten its position, because the producer was idle for longer than the topic's
	// producer-expiry.
	Expired bool `json:"expired,omitempty"`
}

// NextSequence returns the producer sequence of the next batch.
func (p ProducerPosition) NextSequence() int32 {
	if p.LastSequence == nil {
		return 0
	}
	return AddSequence(*p.LastSequence, 1)
}

// ProducerListRequest requests the producers that a partition remembers, in the
// order of their ids.
type ProducerListRequest struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	After     int64  `json:"after,omitempty,string"` // only ids above it
	Limit     int    `json:"limit,omitempty"`        // default and maximum: MaxListedProducers
}

// ProducerListResponse answers list.
type ProducerListResponse struct {
	Error     *Error         `json:"error,omitempty"`
	Producers []ProducerInfo `json:"producers"`
	Total     int            `json:"total"` // producers that the partition remembers
	More      bool           `json:"more,omitempty"`
}

// ProducerInfoRequest requests one producer, by its id or its name, on all
// partitions of a topic.
type ProducerInfoRequest struct {
	Topic      string `json:"topic"`
	ProducerID int64  `json:"producer_id,omitempty,string"`
	Name       string `json:"name,omitempty"`
}

// ProducerInfoResponse answers info: an item for each partition that remembers
// the producer.
type ProducerInfoResponse struct {
	Error     *Error         `json:"error,omitempty"`
	Producers []ProducerInfo `json:"producers"`
}

// ProducerInfo is what a partition remembers of a producer.
type ProducerInfo struct {
	Partition     int32  `json:"partition"`
	ProducerID    int64  `json:"producer_id,string"`
	Name          string `json:"name,omitempty"`
	ProducerEpoch int16  `json:"producer_epoch"`
	LastSequence  *int32 `json:"last_sequence"`
	AgeMS         int64  `json:"age_ms"` // since its last batch or init
}

// CheckProducerName returns an *Error if a producer cannot have the name.
func CheckProducerName(name string) error {
	switch {
	case name == "":
		return Errorf(CodeInvalidRequest, "the producer has no name")
	case len(name) > MaxProducerName:
		return Errorf(CodeInvalidRequest, "the producer's name has %d bytes, allowed are %d", len(name), MaxProducerName)
	case !utf8.ValidString(name), strings.ContainsRune(name, utf8.RuneError):
		// In JSON, different names that are not UTF-8 would become equal.
		return Errorf(CodeInvalidRequest, "the producer's name is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Errorf(CodeInvalidRequest, "the producer's name %q has characters that cannot be printed", name)
	}
	return nil
}
