package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Code identifies an error of the catalogue. It is the err_code of a JetStream
// API error. If JetStream has an error with the same meaning, its number is used,
// so that existing clients recognize it. The meaning of a code MUST NOT change,
// and a code MUST NOT be reused, because clients of any version compare codes.
type Code uint16

// The codes of the catalogue. CodeOK stands for success and is not in it.
const (
	CodeOK                 Code = 0
	CodeTooManyTopics      Code = 10027
	CodeMessageTooLarge    Code = 10054
	CodeTopicExists        Code = 10058
	CodeUnknownTopic       Code = 10059
	CodeStreamMismatch     Code = 10060
	CodeSubjectOverlap     Code = 10065
	CodeWrongLastID        Code = 10070
	CodeWrongLastSequence  Code = 10071
	CodeHeadersTooLarge    Code = 10097
	CodeOverloaded         Code = 10167
	CodeInvalidRequest     Code = 20001
	CodeInvalidTopicName   Code = 20002
	CodeMalformedBatch     Code = 20003
	CodeEmptyBatch         Code = 20004
	CodeHeaderNotSupported Code = 20005
	CodeHeaderInvalid      Code = 20006
	CodeOffsetOutOfRange   Code = 20007
	CodeInvalidSubject     Code = 20010
	CodeFailed             Code = 20020
	CodeOutcomeUnknown     Code = 20021
	CodeNotCommitted       Code = 20022
	CodeNotOwner           Code = 20023
	CodeStagerBusy         Code = 20024
	CodeStoreUnavailable   Code = 20025
	CodeDeadlinePassed     Code = 20026
	CodeUnavailable        Code = 20027
	CodeTooManyFetches     Code = 20028
	CodeCreditTimeout      Code = 20029
	CodeOutOfOrderSequence Code = 20030
	CodeOutOfOrderFinal    Code = 20065
	CodeUnknownName        Code = 20066
	CodeTooManyNames       Code = 20067
	CodeInvalidEpoch       Code = 20031
	CodeUnknownProducer    Code = 20032
	CodeTooManyProducers   Code = 20033
	CodePositionExpired    Code = 20034
	CodeCorrupt            Code = 20040
	CodePartitionDamaged   Code = 20041
	CodeInternal           Code = 20050
	CodeUndeliverable      Code = 20060
	CodeEpochNotGiven      Code = 20061
	CodeMaxPayload         Code = 20080
	CodeLogWithoutTopic    Code = 20081
	CodeLogsMismatch       Code = 20082
	CodeReplicasMismatch   Code = 20083
)

// Kind is what the catalogue says about a code. Meaning and Action are read by people;
// docs/errors.md lists them.
type Kind struct {
	Name      string // never changes, as the code
	Status    int    // class, as in HTTP and the JetStream API
	Retryable bool   // the same request may succeed later without a change
	Meaning   string // what has happened; a clause without a full stop
	Action    string // what to do about it; a clause without a full stop
}

var catalogue = map[Code]Kind{
	CodeTooManyTopics:      {"TOO_MANY_TOPICS", 400, false, "the limit of topics or of partitions is reached", "delete topics that are not needed; if it is the limit of partitions, create topics with fewer partitions"},
	CodeMessageTooLarge:    {"MESSAGE_TOO_LARGE", 400, false, "a record is larger than the topic allows", "send smaller records, or raise the limit with: laneway topic update NAME --max-record-bytes SIZE"},
	CodeTopicExists:        {"TOPIC_EXISTS", 409, false, "a topic of this name exists", "choose another name, or delete the topic first"},
	CodeUnknownTopic:       {"UNKNOWN_TOPIC", 404, false, "there is no such topic or partition", "list topics with: laneway topic list, and the partitions of one with: laneway topic info NAME; create a topic with: laneway topic create NAME"},
	CodeStreamMismatch:     {"STREAM_MISMATCH", 400, false, "the expected stream is not the one that backs this partition", "correct the Nats-Expected-Stream header"},
	CodeSubjectOverlap:     {"SUBJECT_OVERLAP", 400, false, "a subject overlaps with one that is in use", "choose a subject that does not overlap with the named one"},
	CodeWrongLastID:        {"WRONG_LAST_MSG_ID", 400, false, "wrong last msg ID", "read what was published since, then publish again with the named id, or without Nats-Expected-Last-Msg-Id"},
	CodeWrongLastSequence:  {"WRONG_LAST_SEQUENCE", 400, false, "wrong last sequence", "read what was published since, then publish again with the named sequence, or without Nats-Expected-Last-Sequence"},
	CodeHeadersTooLarge:    {"HEADERS_TOO_LARGE", 400, false, "the headers of a record are too large", "put the data into the value of the record"},
	CodeOverloaded:         {"OVERLOADED", 429, true, "too much is in flight on this partition or in this process", "wait for outstanding answers, then send again; keep less in flight; if too much of the log is not archived, check that an archiver is running"},
	CodeInvalidRequest:     {"INVALID_REQUEST", 400, false, "the request is not valid", "correct the request"},
	CodeInvalidTopicName:   {"INVALID_TOPIC_NAME", 400, false, "a topic name has 1 to 64 letters, digits, underscores and hyphens", "use such a name"},
	CodeMalformedBatch:     {"MALFORMED_BATCH", 400, false, "the body is not a batch frame", "send a batch frame, or omit its Content-Type"},
	CodeEmptyBatch:         {"EMPTY_BATCH", 400, false, "the batch frame has no records", "do not send empty frames"},
	CodeHeaderNotSupported: {"HEADER_NOT_SUPPORTED", 400, false, "a NATS header or reply subject requests something that Laneway does not support", "publish without the named header or reply subject"},
	CodeHeaderInvalid:      {"HEADER_INVALID", 400, false, "a header, or the block of headers, is not valid", "correct the named header"},
	CodeOffsetOutOfRange:   {"OFFSET_OUT_OF_RANGE", 416, false, "the offset lies beyond the end of the partition or below its start", "fetch from earliest, from latest, or from an offset within the range"},
	CodeInvalidSubject:     {"INVALID_SUBJECT", 400, false, "a subject must consist of printable tokens separated by dots; * must be a whole token, and > the last one", "correct the subject"},
	CodeFailed:             {"FAILED", 503, true, "the batch could not be staged; it is not in the log and never will be", "send it again; if it keeps happening, check the object store and the logs of the stagers"},
	CodeOutcomeUnknown:     {"OUTCOME_UNKNOWN", 503, true, "the deadline passed before the outcome was known; the batch may or may not be in the log", "send it again if it has a producer id or a Nats-Msg-Id, or if duplicates do no harm; if a service is named, start or restart it"},
	CodeNotCommitted:       {"NOT_COMMITTED", 503, true, "the batch arrived too late for its turn; it is not in the log and never will be", "send it again"},
	CodeNotOwner:           {"NOT_OWNER", 503, true, "this frontend does not own the partition", "send it again"},
	CodeStagerBusy:         {"STAGER_BUSY", 429, true, "the stager has no memory left for more batches, or may not put more objects in time", "wait and send again; if it keeps happening, add stagers or bandwidth"},
	CodeStoreUnavailable:   {"STORE_UNAVAILABLE", 503, true, "the object store did not accept the batch, or did not return it", "try again; if it keeps happening, check whether the object store is full or unreachable"},
	CodeDeadlinePassed:     {"DEADLINE_PASSED", 503, true, "the batch reached the stager after its deadline", "send it again; if it keeps happening, the stagers are overloaded"},
	CodeUnavailable:        {"UNAVAILABLE", 503, true, "the service cannot do this right now", "try again; if it keeps happening, start or restart the named service, or check NATS and JetStream"},
	CodeTooManyFetches:     {"TOO_MANY_FETCHES", 429, true, "too many fetches are open on this frontend", "close consumers that are not needed, or try again later"},
	CodeCreditTimeout:      {"CREDIT_TIMEOUT", 408, true, "the consumer granted no credit and answered no heartbeat for too long", "fetch again from the next offset"},
	CodeOutOfOrderSequence: {"OUT_OF_ORDER_SEQUENCE_NUMBER", 425, true, "the batch is not the producer's next one, and was not appended", "send the unacknowledged batches before it, then this batch again"},
	CodeOutOfOrderFinal:    {"OUT_OF_ORDER_FINAL", 409, false, "the batch is the lowest one that the producer has no acknowledgement for, but not its next one in the log", "check where the producer took its sequence from: if it is below the next one, its records are in the log already; if it is above, records that the producer took for acknowledged are missing; then continue with a new producer id or producer epoch"},
	CodeInvalidEpoch:       {"INVALID_PRODUCER_EPOCH", 409, false, "a newer instance of this producer has taken over", "stop this instance; or stop the other one, and start this one again"},
	CodeUnknownProducer:    {"UNKNOWN_PRODUCER_ID", 404, false, "the partition does not know the producer, or has forgotten it", "send Laneway-First-Unacked with every batch, or request a new id with laneway.api.producer.init and start at sequence 0"},
	CodeUnknownName:        {"UNKNOWN_PRODUCER_NAME", 404, false, "no producer has this name", "list producers with: laneway producer list TOPIC; create one with laneway.api.producer.init"},
	CodeTooManyNames:       {"TOO_MANY_PRODUCER_NAMES", 400, false, "the limit of producer names is reached, and names are kept forever", "use an existing name, or a producer without a name"},
	CodeTooManyProducers:   {"TOO_MANY_PRODUCERS", 429, true, "the partition remembers as many producers as its topic allows", "try again later, because idle producers are forgotten after the topic's producer-expiry; reuse producers instead of creating new ones, or raise the limit with: laneway topic update NAME --max-producers N"},
	CodePositionExpired:    {"POSITION_EXPIRED", 409, false, "a partition no longer knows the position of the named producer: the producer was idle for longer than the topic's producer-expiry, or a loss was accepted", "find out what is in the log, then continue under another name"},
	CodeCorrupt:            {"CORRUPT", 500, false, "stored bytes are not what was written", "restore from a copy the named object, or for an entry of a stream or a record of a bucket the data of JetStream; show what a log has lost with: laneway topic repair NAME"},
	CodePartitionDamaged:   {"PARTITION_DAMAGED", 500, false, "the log of the partition has lost entries, so the partition is read-only", "restore the data of JetStream from a copy, or show what is missing with: laneway topic repair NAME; as the last resort, --accept-loss continues the log without it"},
	CodeMaxPayload:         {"MAX_PAYLOAD_EXCEEDED", 400, false, "the message would be larger than the max_payload of NATS", "set max_payload: 8MB in the configuration of the NATS servers; a producer can send smaller records or batches instead"},
	CodeLogWithoutTopic:    {"LOG_WITHOUT_TOPIC", 409, false, "a log exists that belongs to no topic and was not deleted: the record of its topic was lost", "restore the bucket LANEWAY_TOPICS from a copy; or give up the data of the log, and remove each named stream with: nats stream rm STREAM"},
	CodeLogsMismatch:       {"LOGS_MISMATCH", 409, false, "this Laneway has another number of logs", "start without --logs, or with the number that it has, because the number never changes; another number needs a new Laneway"},
	CodeReplicasMismatch:   {"REPLICAS_MISMATCH", 409, false, "this Laneway keeps another number of replicas", "start without --replicas, or with the number that it has; docs/operation.md says how to change the number"},
	CodeInternal:           {"INTERNAL", 500, false, "an unexpected error occurred", "check the log of the service, and report the error"},
	CodeUndeliverable:      {"UNDELIVERABLE", 500, false, "a stored record cannot be sent as a single message", "fetch it in a batch frame, as laneway consume and the Go client do, or continue at the next offset"},
	CodeEpochNotGiven:      {"EPOCH_NOT_GIVEN", 409, false, "the named producer was given no such producer epoch on this topic", "request laneway.api.producer.init with the name and this topic, and send batches with the producer epoch that it returns"},
}

// Kind returns what the catalogue says about the code. A code that this version does
// not know, such as one of a newer server, has the kind of CodeInternal.
func (c Code) Kind() Kind {
	if k, ok := catalogue[c]; ok {
		return k
	}
	return catalogue[CodeInternal]
}

// Codes returns all codes of the catalogue, in no particular order.
func Codes() []Code {
	codes := make([]Code, 0, len(catalogue))
	for c := range catalogue {
		codes = append(codes, c)
	}
	return codes
}

// FetchStatus returns the status of the message that ends a fetch with this
// error: the class of the code, except that the class 404 becomes 410. In a fetch, 404
// is StatusNoRecords, and a client that looks at the status alone MUST NOT take an
// error for a fetch that has found nothing.
func (c Code) FetchStatus() string {
	status := strconv.Itoa(c.Kind().Status)
	if status == StatusNoRecords {
		return statusGone
	}
	return status
}

// statusGone stands for the class 404 in a fetch.
const statusGone = "410"

// Error is an error of the catalogue, with the details that an operator needs to find
// its cause. It is the only form in which errors are sent between services and to
// clients. Errors are compared by their code:
//
//	if errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) { … }
type Error struct {
	Code   Code
	Detail string // which topic, partition, ticket or limit; may be empty
}

// NewError returns an error of the catalogue.
func NewError(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Errorf returns an error of the catalogue with a formatted detail.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// RecordTooLarge returns the error for a record of size bytes where limit are allowed.
func RecordTooLarge(size, limit int) *Error {
	return Errorf(CodeMessageTooLarge, "%d bytes, the topic allows %d", size, limit)
}

// AsError returns the error of the catalogue that err is or wraps. Any other error
// becomes one with CodeInternal and the text of err as its detail.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Detail: err.Error()}
}

// Error returns name, meaning and detail.
func (e *Error) Error() string {
	k := e.Code.Kind()
	if e.Detail == "" {
		return fmt.Sprintf("%s: %s", k.Name, k.Meaning)
	}
	return fmt.Sprintf("%s: %s: %s", k.Name, k.Meaning, e.Detail)
}

// Is makes errors.Is compare by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Retryable reports whether the same request may succeed later without a change.
func (e *Error) Retryable() bool { return e.Code.Kind().Retryable }

// apiError is the error of a JetStream API response. It MUST have these three
// keys and no other: nats.py passes them to a constructor that takes no more.
type apiError struct {
	Status      int    `json:"code"`
	Code        Code   `json:"err_code"`
	Description string `json:"description"`
}

// MarshalJSON returns the JSON of a JetStream API error. The other fields of an answer
// are beside it; see ErrorResponse.
func (e *Error) MarshalJSON() ([]byte, error) {
	k := e.Code.Kind()
	description := k.Meaning
	if e.Detail != "" {
		description += ": " + e.Detail
	}
	return json.Marshal(apiError{k.Status, e.Code, description})
}

// UnmarshalJSON decodes a JetStream API error, also one of another program. The meaning
// of the code is removed from the description, because Error adds it again.
func (e *Error) UnmarshalJSON(data []byte) error {
	var a apiError
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	meaning := a.Code.Kind().Meaning
	detail, ours := strings.CutPrefix(a.Description, meaning+": ")
	if !ours && a.Description == meaning {
		detail = ""
	}
	*e = Error{Code: a.Code, Detail: detail}
	return nil
}
