package protocol

import (
	"encoding/json"
	"strconv"
	"time"
)

// ProduceAck answers a produce request. It has the shape of a JetStream PubAck
// (stream, seq = offset + 1, duplicate) with fields more, so that JetStream
// clients take it for one.
type ProduceAck struct {
	Error     *Error `json:"error,omitempty"`
	Stream    string `json:"stream,omitempty"`
	Sequence  uint64 `json:"seq,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // of the batch's first record
	Records   int    `json:"records,omitempty"`
	Ticket    uint64 `json:"ticket,omitempty"`
	Epoch     uint64 `json:"epoch,omitempty"` // frontend epoch of the ticket
}

// AppendProduceAck appends the JSON of a successful answer to buf. It is what
// json.Marshal gives, without its cost.
func AppendProduceAck(buf []byte, a ProduceAck) []byte {
	buf = append(buf, `{"stream":"`...)
	buf = append(buf, a.Stream...)
	buf = append(buf, `","seq":`...)
	buf = strconv.AppendUint(buf, a.Sequence, 10)
	if a.Duplicate {
		buf = append(buf, `,"duplicate":true`...)
	}
	buf = append(buf, `,"topic":"`...)
	buf = append(buf, a.Topic...)
	buf = append(buf, `","partition":`...)
	buf = strconv.AppendInt(buf, int64(a.Partition), 10)
	buf = append(buf, `,"offset":`...)
	buf = strconv.AppendInt(buf, a.Offset, 10)
	buf = append(buf, `,"records":`...)
	buf = strconv.AppendInt(buf, int64(a.Records), 10)
	buf = append(buf, `,"ticket":`...)
	buf = strconv.AppendUint(buf, a.Ticket, 10)
	buf = append(buf, `,"epoch":`...)
	buf = strconv.AppendUint(buf, a.Epoch, 10)
	return append(buf, '}')
}

// ErrorResponse is the answer of every public request that failed. Its JSON has
// the keys name, retryable and action beside error, which is that of a JetStream
// API response. No other answer has a field of these names.
type ErrorResponse struct {
	Error *Error `json:"error"`
}

// MarshalJSON returns the error and what the catalogue says of its code.
func (r ErrorResponse) MarshalJSON() ([]byte, error) {
	k := r.Error.Code.Kind()
	return json.Marshal(struct {
		Error     *Error `json:"error"`
		Name      string `json:"name"`
		Retryable bool   `json:"retryable"`
		Action    string `json:"action"`
	}{r.Error, k.Name, k.Retryable, k.Action})
}

// EncodeErrorResponse returns the JSON of an answer that is an error.
func EncodeErrorResponse(err error) []byte {
	data, marshalErr := json.Marshal(ErrorResponse{AsError(err)})
	if marshalErr != nil {
		return []byte(`{"error":{"code":500,"err_code":20050,"description":"unprintable error"},` +
			`"name":"INTERNAL","retryable":false,"action":"look at the log of the service and report it"}`)
	}
	return data
}

// Limits and defaults of a topic.
const (
	DefaultMaxRecordBytes = 2 << 20
	// MaxRecordBytesLimit leaves room in NATS' max_payload of 8 MiB for the
	// envelope at every hop.
	MaxRecordBytesLimit = 4 << 20
	MaxPartitions       = 256
	MaxReplicas         = 5 // JetStream's
	MaxTopics           = 1000
	// EnvelopeRoom is what a batch leaves of NATS' max_payload to the names, the trace
	// context and the headers that it travels with from hop to hop, in bytes.
	EnvelopeRoom = 16 << 10
	// DefaultProducerExpiry is how long a partition remembers an idle producer.
	DefaultProducerExpiry = 24 * time.Hour
	// MinProducerExpiry must exceed the time for which a producer goes on sending
	// a batch again: a retry that comes later could be taken for a new batch.
	MinProducerExpiry = 10 * time.Minute
	MaxProducerExpiry = 365 * 24 * time.Hour
	// DefaultMaxProducers is how many producers a partition remembers.
	DefaultMaxProducers = 100_000
	MaxProducersLimit   = 1_000_000
	// MaxAllPartitions bounds the partitions of all topics together: each one is
	// a stream of JetStream and an actor in three services.
	MaxAllPartitions = 4096
	// MaxAPIRequest bounds the body of a request of the topic API, in bytes.
	MaxAPIRequest = 64 << 10
)

// TopicConfig is what a user says of a topic.
type TopicConfig struct {
	Name           string `json:"name"`
	Partitions     int    `json:"partitions,omitempty"`       // default 1
	MaxRecordBytes int    `json:"max_record_bytes,omitempty"` // default DefaultMaxRecordBytes
	Replicas       int    `json:"replicas,omitempty"`         // NATS servers that keep the log of a partition; default 1

	// ProducerExpiryMS is after how many milliseconds a partition forgets an idle
	// producer; default DefaultProducerExpiry. MaxProducers is how many it remembers
	// at most; new ones are refused beyond it.
	ProducerExpiryMS int64 `json:"producer_expiry_ms,omitempty"`
	MaxProducers     int   `json:"max_producers,omitempty"`

	// Subjects, which may have wildcards, are produced to like the produce
	// subject of the topic's only partition.
	Subjects []string `json:"subjects,omitempty"`
}

// Topic is a topic as the registry keeps it.
type Topic struct {
	TopicConfig
	ID      uint64    `json:"id,string"`
	Created time.Time `json:"created"`
	// Incarnations are those of the partitions' logs, by partition; 0 for partitions
	// beyond its end.
	Incarnations []uint32 `json:"incarnations,omitempty"`
}

// Partition returns the n-th partition of the topic.
func (t Topic) Partition(n int) Partition {
	p := Partition{Topic: t.Name, TopicID: t.ID, Number: int32(n)}
	if n < len(t.Incarnations) {
		p.Incarnation = t.Incarnations[n]
	}
	return p
}

// Complete fills in defaults and checks the configuration.
func (c TopicConfig) Complete() (TopicConfig, error) {
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = DefaultMaxRecordBytes
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.ProducerExpiryMS == 0 {
		c.ProducerExpiryMS = DefaultProducerExpiry.Milliseconds()
	}
	if c.MaxProducers == 0 {
		c.MaxProducers = DefaultMaxProducers
	}
	switch {
	case !ValidTopicName(c.Name):
		return c, Errorf(CodeInvalidTopicName, "%.80q", c.Name)
	case c.Partitions < 1 || c.Partitions > MaxPartitions:
		return c, Errorf(CodeInvalidRequest, "partitions is %d, allowed are 1 to %d", c.Partitions, MaxPartitions)
	case c.Replicas < 1 || c.Replicas > MaxReplicas:
		return c, Errorf(CodeInvalidRequest, "replicas is %d, allowed are 1 to %d", c.Replicas, MaxReplicas)
	case c.MaxRecordBytes < 1 || c.MaxRecordBytes > MaxRecordBytesLimit:
		return c, Errorf(CodeInvalidRequest, "max_record_bytes is %d, allowed are 1 to %d", c.MaxRecordBytes, MaxRecordBytesLimit)
	case c.ProducerExpiryMS < MinProducerExpiry.Milliseconds() || c.ProducerExpiryMS > MaxProducerExpiry.Milliseconds():
		return c, Errorf(CodeInvalidRequest, "producer_expiry_ms is %d, allowed are %d to %d", c.ProducerExpiryMS,
			MinProducerExpiry.Milliseconds(), MaxProducerExpiry.Milliseconds())
	case c.MaxProducers < 1 || c.MaxProducers > MaxProducersLimit:
		return c, Errorf(CodeInvalidRequest, "max_producers is %d, allowed are 1 to %d", c.MaxProducers, MaxProducersLimit)
	}
	return c, c.checkSubjects()
}

// ProducerExpiry returns how long the topic's partitions remember an idle producer.
func (c TopicConfig) ProducerExpiry() time.Duration {
	return time.Duration(c.ProducerExpiryMS) * time.Millisecond
}

// TopicRequest names a topic (info, delete).
type TopicRequest struct {
	Name string `json:"name"`
}

// TopicResponse answers create and info.
type TopicResponse struct {
	Error      *Error          `json:"error,omitempty"`
	Topic      *Topic          `json:"topic,omitempty"`
	Partitions []PartitionInfo `json:"partitions,omitempty"` // only in info
	// Warnings, only in info, say what endangers the topic.
	Warnings []string `json:"warnings,omitempty"`
}

// PartitionInfo tells the state of a partition.
type PartitionInfo struct {
	Partition int32  `json:"partition"`
	EndOffset int64  `json:"end_offset"` // the offset after the last committed record
	Stream    string `json:"stream"`     // that holds the log
	Entries   uint64 `json:"entries"`    // messages in the log stream
	// Damage says what the log has lost; the partition is read-only then.
	Damage string `json:"damage,omitempty"`
}

// TopicListResponse answers list.
type TopicListResponse struct {
	Error  *Error  `json:"error,omitempty"`
	Topics []Topic `json:"topics"`
	// Warnings say which topics cannot be listed.
	Warnings []string `json:"warnings,omitempty"`
}

// FetchRequest asks for the records of a partition. Exactly one of Offset,
// From and Time says where to start. Without WindowBytes the fetch ends after
// MaxBytes; with it, it goes on for as long as the consumer grants credit, by
// publishing the number of bytes that it has taken (decimal) to the reply
// subject of the messages it gets. A consumer that leaves early publishes
// CancelFetch there.
type FetchRequest struct {
	Offset      *int64     `json:"offset,omitempty"`
	From        string     `json:"from,omitempty"` // "earliest" or "latest"
	Time        *time.Time `json:"time,omitempty"` // the first record committed at or after it
	MaxBytes    int64      `json:"max_bytes,omitempty"`
	MaxRecords  int64      `json:"max_records,omitempty"`
	MaxWait     int64      `json:"max_wait_ms,omitempty"` // how long to wait at the end for the first record
	WindowBytes int64      `json:"window_bytes,omitempty"`
	Follow      bool       `json:"follow,omitempty"` // wait at the end for ever instead
	Frames      bool       `json:"frames,omitempty"` // answer with batch frames
}

// CancelFetch on the reply subject of a fetch's messages ends the fetch.
const CancelFetch = "cancel"

// From values of a FetchRequest.
const (
	FromEarliest = "earliest"
	FromLatest   = "latest"
)

// Status values of the message that ends a fetch, and of the heartbeat. No error
// has one of them; see Code.FetchStatus.
const (
	StatusHeartbeat = "100" // an idle fetch lives; answer it with a credit of 0
	StatusGap       = "110" // some offsets hold no records; the fetch goes on behind them
	StatusEnd       = "204" // the end of the partition, or of what was asked for, is reached
	StatusCancelled = "205" // the consumer has published CancelFetch
	StatusNoRecords = "404" // nothing came within max_wait_ms, as in a JetStream pull
)
