package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// published are the codes that clients may know. None may ever change.
var published = map[Code]string{
	10027: "TOO_MANY_TOPICS",
	10054: "MESSAGE_TOO_LARGE",
	10058: "TOPIC_EXISTS",
	10059: "UNKNOWN_TOPIC",
	10060: "STREAM_MISMATCH",
	10065: "SUBJECT_OVERLAP",
	10070: "WRONG_LAST_MSG_ID",
	10071: "WRONG_LAST_SEQUENCE",
	10097: "HEADERS_TOO_LARGE",
	10167: "OVERLOADED",
	20001: "INVALID_REQUEST",
	20002: "INVALID_TOPIC_NAME",
	20003: "MALFORMED_BATCH",
	20004: "EMPTY_BATCH",
	20005: "HEADER_NOT_SUPPORTED",
	20006: "HEADER_INVALID",
	20007: "OFFSET_OUT_OF_RANGE",
	20010: "INVALID_SUBJECT",
	20020: "FAILED",
	20021: "OUTCOME_UNKNOWN",
	20022: "NOT_COMMITTED",
	20023: "NOT_OWNER",
	20024: "STAGER_BUSY",
	20025: "STORE_UNAVAILABLE",
	20026: "DEADLINE_PASSED",
	20027: "UNAVAILABLE",
	20028: "TOO_MANY_FETCHES",
	20029: "CREDIT_TIMEOUT",
	20030: "OUT_OF_ORDER_SEQUENCE_NUMBER",
	20065: "OUT_OF_ORDER_FINAL",
	20066: "UNKNOWN_PRODUCER_NAME",
	20067: "TOO_MANY_PRODUCER_NAMES",
	20031: "INVALID_PRODUCER_EPOCH",
	20032: "UNKNOWN_PRODUCER_ID",
	20033: "TOO_MANY_PRODUCERS",
	20034: "POSITION_EXPIRED",
	20040: "CORRUPT",
	20041: "PARTITION_DAMAGED",
	20050: "INTERNAL",
	20060: "UNDELIVERABLE",
	20061: "EPOCH_NOT_GIVEN",
	20080: "MAX_PAYLOAD_EXCEEDED",
	20081: "LOG_WITHOUT_TOPIC",
	20082: "LOGS_MISMATCH",
	20083: "REPLICAS_MISMATCH",
}

func TestPublishedCodesNeverChange(t *testing.T) {
	for code, name := range published {
		if got := catalogue[code].Name; got != name {
			t.Errorf("%d was %s and is %q", code, name, got)
		}
	}
	for _, code := range Codes() {
		if published[code] == "" {
			t.Errorf("%d %s is not in the list of this test", code, code.Kind().Name)
		}
	}
}

func TestCatalogueIsWellFormed(t *testing.T) {
	wellNamed := regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)
	names, meanings := map[string]Code{}, map[string]Code{}
	for _, code := range Codes() {
		k := code.Kind()
		if other, taken := names[k.Name]; taken {
			t.Errorf("%d and %d are both %s", code, other, k.Name)
		}
		if other, taken := meanings[k.Meaning]; taken {
			t.Errorf("%d and %d both mean %q", code, other, k.Meaning)
		}
		names[k.Name], meanings[k.Meaning] = code, code
		if !wellNamed.MatchString(k.Name) || k.Meaning == "" || k.Action == "" {
			t.Errorf("%d is not filled in: %+v", code, k)
		}
		for _, text := range []string{k.Meaning, k.Action} {
			if text != strings.TrimSpace(text) || strings.HasSuffix(text, ".") || strings.HasSuffix(text, ":") {
				t.Errorf("%d: %q cannot be a part of a sentence", code, text)
			}
		}
	}
}

func TestStatusMatchesRetryable(t *testing.T) {
	retryable := []int{408, 425, 429, 503}
	final := []int{400, 404, 409, 416, 500}
	for _, code := range Codes() {
		k := code.Kind()
		want := final
		if k.Retryable {
			want = retryable
		}
		if !slices.Contains(want, k.Status) {
			t.Errorf("%s: status %d and retryable %v", k.Name, k.Status, k.Retryable)
		}
		if NewError(code, "").Retryable() != k.Retryable {
			t.Errorf("%s: the error and its kind differ", k.Name)
		}
	}
}

// A client may look at the status of a fetch alone.
func TestFetchStatusOfErrorsIsDistinct(t *testing.T) {
	for _, code := range Codes() {
		status, class := code.FetchStatus(), strconv.Itoa(code.Kind().Status)
		if slices.Contains([]string{StatusHeartbeat, StatusGap, StatusEnd, StatusCancelled, StatusNoRecords}, status) {
			t.Errorf("%s ends a fetch with status %s", code.Kind().Name, status)
		}
		if status != class && (class != "404" || status != "410") {
			t.Errorf("%s is of class %s and ends a fetch with status %s", code.Kind().Name, class, status)
		}
	}
}

func TestUnknownCodeIsInternal(t *testing.T) {
	if got := Code(1).Kind(); got != CodeInternal.Kind() {
		t.Errorf("kind is %+v", got)
	}
}

func TestErrorText(t *testing.T) {
	if got := NewError(CodeEmptyBatch, "").Error(); got != "EMPTY_BATCH: the batch frame has no records" {
		t.Error(got)
	}
	if got := RecordTooLarge(11, 10).Error(); got != "MESSAGE_TOO_LARGE: a record is larger than the topic allows: 11 bytes, the topic allows 10" {
		t.Error(got)
	}
}

func TestErrorsAreComparedByCode(t *testing.T) {
	wrapped := fmt.Errorf("partition orders/3: %w", Errorf(CodeNotOwner, "epoch %d", 7))
	for _, code := range Codes() {
		if got := errors.Is(wrapped, NewError(code, "")); got != (code == CodeNotOwner) {
			t.Errorf("errors.Is with %s is %v", code.Kind().Name, got)
		}
	}
	if errors.Is(wrapped, errors.New("NOT_OWNER")) {
		t.Error("a foreign error compares as equal")
	}
}

func TestAsErrorUnwraps(t *testing.T) {
	inner := NewError(CodeCorrupt, "object a")
	if got := AsError(fmt.Errorf("reading: %w", inner)); got != inner {
		t.Errorf("wrapped: %v", got)
	}
	if got := AsError(errors.Join(errors.New("first"), inner)); got != inner {
		t.Errorf("joined: %v", got)
	}
	if got := AsError(errors.New("disk full")); *got != (Error{CodeInternal, "disk full"}) {
		t.Errorf("foreign: %v", got)
	}
}

func TestErrorIsAJetStreamAPIError(t *testing.T) {
	for _, code := range Codes() {
		k := code.Kind()
		data, err := json.Marshal(NewError(code, "detail"))
		if err != nil {
			t.Fatal(err)
		}
		var got jetstream.APIError
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		want := jetstream.APIError{Code: k.Status, ErrorCode: jetstream.ErrorCode(code), Description: k.Meaning + ": detail"}
		if got != want {
			t.Errorf("%s is read as %+v", data, got)
		}
		if !errors.Is(&got, &jetstream.APIError{ErrorCode: jetstream.ErrorCode(code)}) {
			t.Errorf("%s: errors.Is fails among JetStream errors", k.Name)
		}
	}
}

func TestErrorSurvivesJSON(t *testing.T) {
	for _, code := range append(Codes(), CodeOK, 1, 65535) {
		meaning := code.Kind().Meaning
		for _, detail := range []string{"", "plain", ": colon", ": ", meaning, meaning + ": again", "<&>\"\\\n\x00 ünï"} {
			want := Error{code, detail}
			if got, data := throughJSON(t, &want); *got != want {
				t.Errorf("%+v became %+v through %s", want, *got, data)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Error{genCode.Draw(t, "code"), rapid.String().Draw(t, "detail")}
		if got, data := throughJSON(t, &want); *got != want {
			t.Fatalf("%+v became %+v through %s", want, *got, data)
		}
	})
}

func TestForeignErrorKeepsDescription(t *testing.T) {
	for name, c := range map[string]struct {
		json string
		want Error
	}{
		"JetStream's own":        {`{"code":404,"err_code":10059,"description":"stream not found"}`, Error{CodeUnknownTopic, "stream not found"}},
		"unknown code":           {`{"code":503,"err_code":10008,"description":"not available"}`, Error{10008, "not available"}},
		"words that begin alike": {`{"err_code":20001,"description":"the request is not validated"}`, Error{CodeInvalidRequest, "the request is not validated"}},
		"more fields":            {`{"err_code":20001,"description":"x","later":{"a":[1]}}`, Error{CodeInvalidRequest, "x"}},
		"nothing":                {`{}`, Error{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got Error
			if err := json.Unmarshal([]byte(c.json), &got); err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestRejectsInvalidErrorJSON(t *testing.T) {
	for _, data := range []string{``, `{`, `"text"`, `[]`, `{"err_code":65536}`, `{"err_code":-1}`, `{"err_code":"20001"}`} {
		if err := json.Unmarshal([]byte(data), new(Error)); err == nil {
			t.Errorf("%q is read as an error of the catalogue", data)
		}
	}
}

// Each code is raised in several situations, and its action must fit all of them.
func TestActionsFitEverySituation(t *testing.T) {
	for code, words := range map[Code][]string{
		CodeCorrupt:            {"object", "stream", "bucket", "laneway topic repair"},
		CodeUnknownTopic:       {"laneway topic list", "laneway topic info", "laneway topic create"}, // of info, delete, a partition, a topic that is deleted
		CodeOutcomeUnknown:     {"producer id", "Nats-Msg-Id"},
		CodeMaxPayload:         {"max_payload", "a producer can"}, // of produce, fetch, a start
		CodeHeaderNotSupported: {"header", "reply subject"},       // headers, and reply subjects of fast batches
		CodeTooManyTopics:      {"delete", "partitions"},          // of topics, of partitions
		CodeStoreUnavailable:   {"try again"},                     // of a write, of a read
		CodeInvalidTopicName:   {"use such a name"},               // of create, of info and delete
	} {
		for _, word := range words {
			if action := code.Kind().Action; !strings.Contains(action, word) {
				t.Errorf("%s: %q does not say %q", code.Kind().Name, action, word)
			}
		}
	}
}
