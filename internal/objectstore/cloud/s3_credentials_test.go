package cloud

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A cloud's server for credentials hangs once, and answers from then on.
func TestS3CredentialsThatHangBlockNoLaterRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		credentials := newCredentials(func(ctx context.Context) (aws.Credentials, error) {
			if calls++; calls == 1 {
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			}
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
		})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := credentials.Retrieve(ctx)
		if wantIs(t, err, context.DeadlineExceeded); time.Since(began) != time.Second {
			t.Errorf("a request waits for %v beyond its deadline of 1s", time.Since(began))
		}
		late, cancelLate := context.WithTimeout(t.Context(), time.Hour)
		defer cancelLate()
		_, err = credentials.Retrieve(late)
		if wantIs(t, err, context.DeadlineExceeded); time.Since(began) != credentialsTimeout {
			t.Errorf("a request without a near deadline fails after %v, want %v", time.Since(began), credentialsTimeout)
		}
		if found, err := credentials.Retrieve(late); err != nil || found.AccessKeyID != "a" {
			t.Errorf("the next request gets %q (%v)", found.AccessKeyID, err)
		}
	})
}
