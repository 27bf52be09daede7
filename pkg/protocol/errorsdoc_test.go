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

var update = flag.Bool("update", false, "renew "+errorsDoc)

const errorsHead = `# Errors

The answer of a request that failed has ` + "`error`" + `, which is exactly that of a JetStream API response, so that clients which take no
other keys can read it: ` + "`code`" + ` is its class, ` + "`err_code`" + ` says which it is and never changes its meaning, and ` + "`description`" + ` ends with
what exactly happened. The codes below 20000 are those of JetStream for the same class of error. Beside ` + "`error`" + ` stand ` + "`name`" + `,
` + "`retryable`" + ` and ` + "`action`" + `, the same for all answers that are errors.

` + "```json" + `
%s
` + "```" + `

A fetch that fails ends with a status message whose body is the same; its headers say it too: ` + "`Status`" + ` is the class, with 410 for
class 404, ` + "`Laneway-Error`" + ` the name, ` + "`Description`" + ` the rest.
Retryable means that the same request may succeed later without a change. Every error is counted in
` + "`laneway_frontend_errors_total{request, error}`" + ` on ` + "`/metrics`" + `, but for
` + "`CREDIT_TIMEOUT`" + `: a consumer that has gone counts in ` + "`laneway_frontend_fetch_abandoned_total`" + `.

| code | name | class | retry | what it means | what to do |
|---|---|---|---|---|---|
`

const errorsTail = `
The frontend asks stagers, sequencer and replicator twice a second whether they take messages. ` + "`OUTCOME_UNKNOWN`" + ` names the roles that did not answer
when the deadline passed. A role that has not answered for the whole produce deadline makes the frontend reject produce requests at once, with
` + "`UNAVAILABLE`" + ` and before they get a ticket: they are not in the log. They are accepted again as soon as the role answers.

Two things are no errors of Laneway, but look like them:

- ` + "`503`" + ` without a body (*no responders*) comes from NATS: there is no such topic or partition, no frontend is running, or requests arrive on the
  partition faster than they can be rejected (` + "`laneway_frontend_pauses_total`" + ` counts that). Try again after a while.
- A fetch that ends well has status ` + "`" + StatusEnd + "`" + ` (the end is reached, or what was asked for is delivered), ` + "`" + StatusCancelled + "`" + ` (its consumer has
  cancelled it) or ` + "`" + StatusNoRecords + "`" + ` (nothing came within ` + "`max_wait_ms`" + `). No error has one of them. ` + "`" + StatusHeartbeat + "`" + ` on the way asks the consumer for a sign of life: publish ` + "`0`" + ` to its reply subject.
  ` + "`" + StatusGap + "`" + ` names offsets that hold no records.
`

// renderErrors returns the page that tells users of the catalogue.
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

func TestCatalogueIsWhatTheErrorsPageSays(t *testing.T) {
	want := renderErrors()
	if *update {
		if err := os.WriteFile(errorsDoc, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(errorsDoc)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/errors.md is not what the catalogue says (%v); renew it by: go test ./pkg/messages -run Catalogue -update", err)
	}
}
