package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/selftest"
	"laneway.dev/internal/storeid"
)

func TestCheckSaysEachReasonOnce(t *testing.T) {
	denied := fmt.Errorf("put: %w", objectstore.ErrDenied)
	text, verdict := describeFindings("s3", []selftest.Finding{
		{Step: selftest.Put, Err: denied},
		{Step: selftest.Altered, Err: denied},
		{Step: selftest.Again, Skipped: true},
		{Step: selftest.List, Took: 1234567 * time.Nanosecond},
	})
	const want = `  put          the credentials do not allow putting objects: the right s3:PutObject is missing (the object store denies the request)
  altered put  fails for the same reason
  second put   not tried: it needs a step that has failed
  list         works, 1.2ms
`
	if text != want {
		t.Errorf("the report is:\n%s\nwant:\n%s", text, want)
	}
	if verdict == nil || !strings.HasSuffix(verdict.Error(), ": put, altered put") || cli.Advice(verdict) == "" {
		t.Errorf("the verdict is %v with the advice %q", verdict, cli.Advice(verdict))
	}
}

func TestStoreThatLacksConditionsIsFit(t *testing.T) {
	text, verdict := describeFindings("s3", []selftest.Finding{{Step: selftest.Again, Lacks: "it replaces objects"}})
	if verdict != nil || !strings.Contains(text, "works, but it replaces objects") {
		t.Errorf("the verdict is %v, the report:\n%s", verdict, text)
	}
}

// silent is a store that does not answer.
type silent struct{ objectstore.Store }

func (silent) Marker(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCheckDoesNotWaitForAMarkerForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := (&Check{Store: "s3://bucket"}).identity(t.Context(), storeid.Candidate{Store: silent{}}, nil)
		if !strings.Contains(text, "its marker cannot be read: the store does not answer") {
			t.Errorf("the report says %q", text)
		}
	})
}
