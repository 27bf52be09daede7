package protocol

import (
	"encoding/json"
	"strconv"
	"time"
)

// ProduceAck is the answer to a produce request. It is a JetStream PubAck (stream,
// seq = offset + 1, duplicate) with additional fields, so that JetStream clients accept
// it. An answer with an error has Error only.
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

// AppendProduceAck appends the JSON of a successful answer to buf. The result is that of
// json.Marshal, but it is produced faster: a frontend encodes one for every request.
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

// ErrorResponse is the answer to every public request that failed. Its field error is that
// of a JetStream API response. Its JSON also has the fields name, retryable and action,
// which no other answer has.
type ErrorResponse struct {
	Error *Error `json:"error"`
}

// MarshalJSON returns the error and what the catalogue says about its code.
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
			`"name":"INTERNAL","retryable":false,"action":"check the log of the service, and report the error"}`)
	}
	return data
}

// Limits and defaults of a topic.
const (
	DefaultMaxRecordBytes = 2 << 20
	// MaxRecordBytesLimit leaves room in NATS' max_payload of 8 MiB for the
	// envelope at every hop.
	MaxRecordBytesLimit = 4 << 20
	MaxPartitions       = 4096
	MaxReplicas         = 5 // JetStream's
	MaxTopics           = 10_000
	// EnvelopeRoom is the part of NATS' max_payload, in bytes, that a batch leaves to the
	// names, the trace context and the headers of the messages that carry it.
	EnvelopeRoom = 16 << 10
	// DefaultProducerExpiry is how long a partition remembers an idle producer.
	DefaultProducerExpiry = 24 * time.Hour
	// MinProducerExpiry must be longer than the time for which a producer sends a batch
	// again: a later retry could be accepted as a new batch.
	MinProducerExpiry = 10 * time.Minute
	MaxProducerExpiry = 365 * 24 * time.Hour
	// DefaultMaxProducers is how many producers a partition remembers.
	DefaultMaxProducers = 100_000
	MaxProducersLimit   = 1_000_000
	// MinRetentionAge bounds how often the records of a partition are archived.
	MinRetentionAge = time.Second
	MaxRetentionAge = 100 * 365 * 24 * time.Hour
	// MaxAllPartitions bounds the partitions of all topics together, because each one
	// needs a JetStream stream and an actor in three services.
	MaxAllPartitions = 100_000
	// MaxAPIRequest bounds the body of a request of the topic API, in bytes.
	MaxAPIRequest = 64 << 10
)

// TopicConfig is the part of a topic that users choose.
type TopicConfig struct {
	Name           string `json:"name"`
	Partitions     int    `json:"partitions,omitempty"`       // default 1
	MaxRecordBytes int    `json:"max_record_bytes,omitempty"` // default DefaultMaxRecordBytes
	Replicas       int    `json:"replicas,omitempty"`         // NATS servers that keep the log of a partition; default that of the cluster

	// ProducerExpiryMS is the time in milliseconds after which a partition forgets an
	// idle producer; the default is DefaultProducerExpiry. MaxProducers bounds the
	// producers that it remembers; it refuses new ones beyond that.
	ProducerExpiryMS int64 `json:"producer_expiry_ms,omitempty"`
	MaxProducers     int   `json:"max_producers,omitempty"`

	// Compression is how stagers compress the batches that producers have sent plain. Records
	// are compressed together with others of the same partition. The default is
	// CompressionNone.
	Compression Compression `json:"compression,omitempty"`

	// RetentionAgeMS is the time in milliseconds for which records are kept, and RetentionBytes
	// how many bytes of history a partition keeps at least. Older records may be dropped, in
	// whole segments, once they are archived. 0 keeps them for ever.
	RetentionAgeMS int64 `json:"retention_age_ms,omitempty"`
	RetentionBytes int64 `json:"retention_bytes,omitempty"`

	// Subjects are further produce subjects of the topic's only partition. They may
	// have wildcards.
	Subjects []string `json:"subjects,omitempty"`
}

// Topic is a topic as the registry keeps it.
type Topic struct {
	TopicConfig
	ID      uint64    `json:"id,string"`
	Created time.Time `json:"created"`
	// Revision counts the updates that have changed the topic.
	Revision uint64 `json:"revision,omitempty"`
	// Logs is the number of logs that the partitions are spread over. It never changes.
	Logs int `json:"logs,omitempty"`
	// Incarnations are the incarnations of the logs, by partition. It may be shorter than
	// the number of partitions; the rest are 0.
	Incarnations []uint32 `json:"incarnations,omitempty"`
}

// Partition returns the partition with the number n. Its log follows from the topic's id, n, the
// number of logs, and that of replicas: partitions with other numbers of replicas have other logs. A
// topic whose record has no number of logs has one.
func (t Topic) Partition(n int) Partition {
	p := Partition{Topic: t.Name, TopicID: t.ID, Number: int32(n), Log: logOf(t.ID, int32(n), t.Logs)}
	p.Log += uint16(max(t.Replicas-1, 0) * max(t.Logs, 1))
	if n < len(t.Incarnations) {
		p.Incarnation = t.Incarnations[n]
	}
	return p
}

// Complete returns the configuration with defaults, or an error of the catalogue if it
// is not valid. A topic gets the replicas of the cluster before that; otherwise one is the default.
func (c TopicConfig) Complete() (TopicConfig, error) {
	c = c.withDefaults()
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
	case c.Compression != CompressionNone && !c.Compression.Known():
		return c, Errorf(CodeInvalidRequest, "compression is %.20q, allowed are none, s2 and zstd", string(c.Compression))
	}
	if err := c.checkRetention(); err != nil {
		return c, err
	}
	return c, c.checkSubjects()
}

func (c TopicConfig) withDefaults() TopicConfig {
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
	if c.Compression == "" {
		c.Compression = CompressionNone
	}
	return c
}

func (c TopicConfig) checkRetention() error {
	switch age := c.RetentionAgeMS; {
	case age != 0 && (age < MinRetentionAge.Milliseconds() || age > MaxRetentionAge.Milliseconds()):
		return Errorf(CodeInvalidRequest, "retention_age_ms is %d, allowed are 0 and %d to %d", age, MinRetentionAge.Milliseconds(), MaxRetentionAge.Milliseconds())
	case c.RetentionBytes < 0:
		return Errorf(CodeInvalidRequest, "retention_bytes is %d, which is negative", c.RetentionBytes)
	}
	return nil
}

// ProducerExpiry returns how long the topic's partitions remember an idle producer.
func (c TopicConfig) ProducerExpiry() time.Duration {
	return time.Duration(c.ProducerExpiryMS) * time.Millisecond
}

// RetentionAge returns how long records are kept; 0 is for ever.
func (c TopicConfig) RetentionAge() time.Duration {
	return time.Duration(c.RetentionAgeMS) * time.Millisecond
}

// Codec returns the codec of the topic's stagers; empty if they do not compress.
func (c TopicConfig) Codec() Compression {
	if c.Compression == CompressionNone {
		return ""
	}
	return c.Compression
}

// TopicRequest names a topic (info, delete).
type TopicRequest struct {
	Name string `json:"name"`
}

// TopicTruncateRequest asks for the records of a partition below an offset to be dropped.
type TopicTruncateRequest struct {
	Name      string `json:"name"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"before"`
}

// TopicTruncateResponse answers truncate. StartOffset is the log start offset, which is above that of
// the request if more was dropped before.
type TopicTruncateResponse struct {
	Error       *Error `json:"error,omitempty"`
	Partition   int32  `json:"partition"`
	StartOffset int64  `json:"start_offset"`
}

// TopicResponse answers create, update and info.
type TopicResponse struct {
	Error *Error `json:"error,omitempty"`
	Topic *Topic `json:"topic,omitempty"`
	// Previous, only in update, is the topic before it. Its revision is that of Topic if the
	// update has changed nothing.
	Previous   *Topic          `json:"previous,omitempty"`
	Partitions []PartitionInfo `json:"partitions,omitempty"` // only in info
	// Warnings, only in info, say what endangers the topic.
	Warnings []string `json:"warnings,omitempty"`
}

// PartitionInfo is the state of a partition.
type PartitionInfo struct {
	Partition int32 `json:"partition"`
	// StartOffset is the log start offset: records below it are gone.
	StartOffset int64  `json:"start_offset,omitempty"`
	EndOffset   int64  `json:"end_offset"` // the offset after the last committed record
	Stream      string `json:"stream"`     // that acknowledgements name; there is no stream of this name
	LogStream   string `json:"log_stream"` // the JetStream stream that holds the log, with those of other partitions
	Entries     uint64 `json:"entries"`    // messages in the log stream
	LogBytes    uint64 `json:"log_bytes"`  // size of the log stream, with the payloads of small batches that are not archived
	// ArchivedOffset is the offset after the last record that was archived; 0 if none was. The
	// log stream may have lost the entries of the records before it.
	ArchivedOffset int64 `json:"archived_offset,omitempty"`
	// Segments is how many segments hold the archived records, and SegmentBytes their size. Both are
	// 0 if nothing is archived, or if the object store does not say: a warning then does.
	Segments     int   `json:"segments,omitempty"`
	SegmentBytes int64 `json:"segment_bytes,omitempty"`
	// OldestTime is the time of the first entry that is kept, or that of the topic's creation: no record is
	// older. It is left out if there is no record, or if it is not known.
	OldestTime *time.Time `json:"oldest_time,omitempty"`
	// Damage describes what the log has lost. Such a partition is read-only.
	Damage string `json:"damage,omitempty"`
}

// TopicListResponse answers list.
type TopicListResponse struct {
	Error  *Error  `json:"error,omitempty"`
	Topics []Topic `json:"topics"`
	// Warnings name the topics that cannot be listed.
	Warnings []string `json:"warnings,omitempty"`
}

// FetchRequest requests the records of a partition. Exactly one of Offset, From and
// Time says where to start.
//
// Without WindowBytes, the fetch ends after MaxBytes. With it, the fetch continues as
// long as the consumer grants credit: it publishes the number of payload bytes that it
// has processed since the fetch started, as a decimal number, to the reply subject of the
// messages that it receives. The number is a total, so that a message makes up for those
// that were lost before it. A consumer that leaves early publishes CancelFetch there.
type FetchRequest struct {
	Offset      *int64     `json:"offset,omitempty"`
	From        string     `json:"from,omitempty"` // "earliest" or "latest"
	Time        *time.Time `json:"time,omitempty"` // the first record committed at or after it
	MaxBytes    int64      `json:"max_bytes,omitempty"`
	MaxRecords  int64      `json:"max_records,omitempty"`
	MaxWait     int64      `json:"max_wait_ms,omitempty"` // how long to wait for a record if there is none at the start
	WindowBytes int64      `json:"window_bytes,omitempty"`
	Follow      bool       `json:"follow,omitempty"` // wait for more records at the end, without limit
	Frames      bool       `json:"frames,omitempty"` // answer with batch frames
	// Accept are the codecs of the frames that the consumer decompresses. Other frames are
	// decompressed before they are sent. Names that the frontend does not know are ignored.
	Accept []Compression `json:"accept,omitempty"`
}

// CancelFetch ends a fetch when it is published to the reply subject of its messages.
const CancelFetch = "cancel"

// From values of a FetchRequest.
const (
	FromEarliest = "earliest"
	FromLatest   = "latest"
)

// Values of HeaderStatus in a fetch. No error has one of them; see Code.FetchStatus.
const (
	StatusHeartbeat = "100" // the fetch is alive; answer it with a credit
	StatusGap       = "110" // some offsets have no records; the fetch continues behind them
	StatusEnd       = "204" // the end of the partition, or of what was asked for, is reached
	StatusCancelled = "205" // the consumer has published CancelFetch
	StatusNoRecords = "404" // there was no record within max_wait_ms, as in a JetStream pull
)
