package protocol

// Headers of Laneway. NATS header names are case-sensitive.
const (
	// HeaderProducer names the lane of a producer without a producer id.
	HeaderProducer = "Laneway-Producer"
	// Headers of an idempotent producer, on a single record or a batch frame, all
	// decimal numbers. The first three belong together.
	HeaderProducerID    = "Laneway-Producer-Id"
	HeaderProducerEpoch = "Laneway-Producer-Epoch"
	HeaderSequence      = "Laneway-Sequence"      // of the first record
	HeaderFirstUnacked  = "Laneway-First-Unacked" // see StageBatch
	// HeaderTopicID names the topic that a producer means by its id, a decimal number: a
	// topic that was deleted and made again has another one.
	HeaderTopicID = "Laneway-Topic-Id"
	// HeaderContentType tells a batch frame from a single record.
	HeaderContentType = "Content-Type"

	// Headers of a fetched message.
	HeaderTopic      = "Laneway-Topic"
	HeaderPartition  = "Laneway-Partition"
	HeaderOffset     = "Laneway-Offset"  // of the record, or of the first record of a frame
	HeaderRecords    = "Laneway-Records" // of a frame
	HeaderTime       = "Laneway-Time"    // RFC 3339 with nanoseconds
	HeaderSubject    = "Laneway-Subject" // that the record was sent to, if it is one that the topic is bound to
	HeaderNextOffset = "Laneway-Next-Offset"
	HeaderGapFrom    = "Laneway-Gap-From"   // the first offset without a record, in the status of a gap or of damage
	HeaderGapTo      = "Laneway-Gap-To"     // the last one; without it nothing behind can be read
	HeaderEndOffset  = "Laneway-End-Offset" // the offset after the last committed record
	HeaderStatus     = "Status"
	HeaderDesc       = "Description"
	HeaderError      = "Laneway-Error" // name of the error in the catalogue
)

// ContentTypeBatch is the content type of a batch frame.
const ContentTypeBatch = "application/vnd.laneway.batch"

// Headers of NATS that Laneway knows.
const (
	HeaderMessageID            = "Nats-Msg-Id"
	HeaderExpectedStream       = "Nats-Expected-Stream"
	HeaderExpectedLastSequence = "Nats-Expected-Last-Sequence"
	HeaderExpectedLastID       = "Nats-Expected-Last-Msg-Id"
	HeaderRequestInfo          = "Nats-Request-Info"
)

// Trace context headers. The W3C names are lower case, and a NATS header map
// does not fold case.
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)
