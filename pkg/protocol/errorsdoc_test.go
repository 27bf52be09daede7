package protocol

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
)

const errorsDoc = "../../docs/errors.md"

var update = flag.Bool("update", false, "rewrite "+errorsDoc)

const errorsHead = `# Errors

The answer to a request that failed has a field ` + "`error`" + `. It has exactly the keys of an error in a JetStream API response, because some
clients accept no others: ` + "`code`" + ` is the class of the error, ` + "`err_code`" + ` identifies it and never changes its meaning, and
` + "`description`" + ` says what happened and ends with the details. Codes below 20000 are those of JetStream for the same kind of error.
Beside ` + "`error`" + `, the answer has ` + "`name`" + `, ` + "`retryable`" + ` and ` + "`action`" + `.

` + "```json" + `
%s
` + "```" + `

A fetch that fails ends with a status message. Its body is the same as above, and its headers contain the error as well: ` + "`Status`" + ` is the
class (410 instead of 404), ` + "`Laneway-Error`" + ` the name, and ` + "`Description`" + ` the text.

*Retry* means that the same request may succeed later without a change. Errors are counted in
` + "`laneway_frontend_errors_total{request, error}`" + ` on ` + "`/metrics`" + `. ` + "`CREDIT_TIMEOUT`" + ` is not: a consumer that has disappeared is counted in
` + "`laneway_frontend_fetch_abandoned_total`" + `.

A paced fetch (with ` + "`window_bytes`" + ` or ` + "`follow`" + `) does not end because the object store is unavailable. It sends heartbeats and reads again until
the store answers. Any other fetch ends with ` + "`STORE_UNAVAILABLE`" + ` after ten seconds. A fetch ends with ` + "`CORRUPT`" + ` because of the content of
an object only after the same wrong content was read three times.

| code | name | class | retry | what it means | what to do |
|---|---|---|---|---|---|
`

const errorsTail = `
The frontend probes stagers, sequencer and replicator twice a second. ` + "`OUTCOME_UNKNOWN`" + ` names the roles that did not answer when the
deadline passed. When a role has not answered for the whole produce deadline, the frontend rejects produce requests at once with
` + "`UNAVAILABLE`" + `. Such requests get no ticket and are not in the log. They are accepted again as soon as the role answers.

Two things look like errors of Laneway, but are not:

- ` + "`503`" + ` without a body (*no responders*) comes from NATS: there is no such topic or partition, no frontend is running, or requests arrive on the
  partition faster than they can be rejected (counted in ` + "`laneway_frontend_pauses_total`" + `). Try again after a while.
- The statuses of a fetch that are not errors. A fetch without an error ends with ` + "`" + StatusEnd + "`" + ` (it has delivered what was requested, or has
  reached the end), ` + "`" + StatusCancelled + "`" + ` (the consumer has cancelled it) or ` + "`" + StatusNoRecords + "`" + ` (there was no record within ` + "`max_wait_ms`" + `). Two more
  statuses do not end it: ` + "`" + StatusHeartbeat + "`" + ` is a heartbeat, which the consumer must answer by publishing ` + "`0`" + ` to its reply subject, and
  ` + "`" + StatusGap + "`" + ` names offsets without records.
`

// renderErrors returns the page of the catalogue for users.
func renderErrors() []byte {
	var page bytes.Buffer
	fmt.Fprintf(&page, errorsHead, EncodeErrorResponse(NewError(CodeUnknownTopic, "orders")))
	codes := Codes()
	slices.Sort(codes)
	for _, code := range codes {
		k, retry := code.Kind(), "no"
		if k.Retryable {
			retry = "yes"
		}
		fmt.Fprintf(&page, "| %d | `%s` | %d | %s | %s | %s |\n", code, k.Name, k.Status, retry, k.Meaning, k.Action)
	}
	page.WriteString(errorsTail)
	return page.Bytes()
}

func TestErrorsPageMatchesCatalogue(t *testing.T) {
	want := renderErrors()
	if *update {
		if err := os.WriteFile(errorsDoc, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(errorsDoc)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/errors.md does not match the catalogue (%v); rewrite it with: go test ./pkg/protocol -run ErrorsPage -update", err)
	}
}
