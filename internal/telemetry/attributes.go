package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Keys of OpenTelemetry's messaging conventions. They are named here so that a newer version of
// the conventions changes one file.
const (
	// MessagingSystem is always the value SystemNATS.
	MessagingSystem = semconv.MessagingSystemKey
	// MessagingDestination is the topic's name.
	MessagingDestination = semconv.MessagingDestinationNameKey
	// MessagingPartition is the partition's number, as a string.
	MessagingPartition = semconv.MessagingDestinationPartitionIDKey
	// MessagingBatchCount is the number of records in a batch, or of batches in an object or a commit.
	MessagingBatchCount = semconv.MessagingBatchMessageCountKey
	// MessagingBodySize is the payload's size in bytes.
	MessagingBodySize = semconv.MessagingMessageBodySizeKey
)

// Laneway's own keys.
const (
	// TicketNumber is the ticket's number in its lane.
	TicketNumber = attribute.Key("laneway.ticket.number")
	// TicketLane is the key of the ticket's lane.
	TicketLane = attribute.Key("laneway.ticket.lane")
	// TicketEpoch is the epoch of the frontend that issued the ticket.
	TicketEpoch = attribute.Key("laneway.ticket.epoch")
	// Offset is the base offset of a committed batch.
	Offset = attribute.Key("laneway.offset")
	// ObjectKey is the key of the object that holds a batch.
	ObjectKey = attribute.Key("laneway.object.key")
	// ErrorCode is the number of an error in the catalogue.
	ErrorCode = attribute.Key("laneway.error.code")
)

// SystemNATS is the value of MessagingSystem.
const SystemNATS = "nats"

// Span names, in the order of a batch's life.
const (
	// SpanTicket is the frontend's turn in which the ticket is issued.
	SpanTicket = "ticket"
	// SpanStage is one batch's staging, with its wait for the object. It links to SpanUpload.
	SpanStage = "stage"
	// SpanUpload is the upload of one object, which serves many batches.
	SpanUpload = "upload"
	// SpanAwaitTurn is the wait of a staged batch for the earlier tickets of its lane.
	SpanAwaitTurn = "await turn"
	// SpanAppend is one batch's append to the log. It links to SpanGroupCommit.
	SpanAppend = "append"
	// SpanGroupCommit is one message to the log, which commits many batches.
	SpanGroupCommit = "group commit"
	// SpanArchive is the work on a part of a log that moves into a segment.
	SpanArchive = "archive"
)

// UTF8 returns a text as exporters can carry it, with U+FFFD for what is not UTF-8.
// It is for what clients send: one span with anything else would fail the export of
// all spans beside it.
func UTF8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Lane is the attribute of a ticket's lane.
func Lane(lane string) attribute.KeyValue { return TicketLane.String(UTF8(lane)) }
