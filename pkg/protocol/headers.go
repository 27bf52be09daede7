package protocol

// Headers of Laneway. NATS header names are case-sensitive.
const (
	// HeaderProducer names the lane of a producer without a producer id.
	HeaderProducer = "Laneway-Producer"
	// Headers of an idempotent producer, on a single record or a batch frame. All are
	// decimal numbers, and the first three belong together. The producer sequence is that
	// of the first record. First unacked is the producer sequence of the lowest batch that
	// the producer has no acknowledgement for: a partition that does not know the producer
	// starts with that batch and no other.
	HeaderProducerID    = "Laneway-Producer-Id"
	HeaderProducerEpoch = "Laneway-Producer-Epoch"
	HeaderSequence      = "Laneway-Sequence"
	HeaderFirstUnacked  = "Laneway-First-Unacked"
	// HeaderTopicID is the id of the topic that a producer sends to, as a decimal number. A
	// topic that was deleted and created again has another id, so the batch is refused.
	HeaderTopicID = "Laneway-Topic-Id"
	// HeaderContentType distinguishes a batch frame from a single record.
	HeaderContentType = "Content-Type"

	// Headers of a fetched message.
	HeaderTopic     = "Laneway-Topic"
	HeaderPartition = "Laneway-Partition"
	HeaderOffset    = "Laneway-Offset"  // of the record, or of the first record of a frame
	HeaderRecords   = "Laneway-Records" // of a frame
	HeaderTime      = "Laneway-Time"    // RFC 3339 with nanoseconds
	HeaderSubject   = "Laneway-Subject" // the subject that the record was sent to, if the topic is bound to it
	// HeaderStartOffset names the offset at which a fetch has started, in each message of a
	// fetch whose request does not name it.
	HeaderStartOffset = "Laneway-Start-Offset"
	HeaderNextOffset  = "Laneway-Next-Offset"
	HeaderLogStart    = "Laneway-Log-Start-Offset" // the first offset of the log, with OFFSET_OUT_OF_RANGE
	HeaderGapFrom     = "Laneway-Gap-From"         // the lowest offset without a record, in the status of a gap or of damage
	HeaderGapTo       = "Laneway-Gap-To"           // the highest one; without it, nothing behind can be read
	HeaderEndOffset   = "Laneway-End-Offset"       // the offset after the last committed record
	HeaderStatus      = "Status"
	HeaderDesc        = "Description"
	HeaderError       = "Laneway-Error" // name of the error in the catalogue
)

// ContentTypeBatch is the content type of a batch frame.
const ContentTypeBatch = "application/vnd.laneway.batch"

// Headers of NATS that Laneway supports.
const (
	HeaderMessageID            = "Nats-Msg-Id"
	HeaderExpectedStream       = "Nats-Expected-Stream"
	HeaderExpectedLastSequence = "Nats-Expected-Last-Sequence"
	HeaderExpectedLastID       = "Nats-Expected-Last-Msg-Id"
	HeaderRequestInfo          = "Nats-Request-Info"
)

// Trace context headers. The names of W3C are lower case, and NATS header names are
// case-sensitive.
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)
