package cloud

import (
	"context"
	"errors"
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

func TestS3CredentialsAreRenewedBeforeTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, expires := 0, time.Now().Add(time.Hour)
		credentials := newCredentials(func(context.Context) (aws.Credentials, error) {
			calls++
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s", CanExpire: true, Expires: expires}, nil
		})
		after := func(d time.Duration) {
			t.Helper()
			<-time.After(d)
			if _, err := credentials.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after(0)
		if after(54 * time.Minute); calls != 1 {
			t.Errorf("the credentials were read %d times before it was necessary", calls)
		}
		if after(time.Minute); calls != 2 {
			t.Errorf("the credentials were read %d times, want a second time 5m before they expire", calls)
		}
		for range 299 { // the source has no new ones yet
			after(time.Second)
		}
		if calls > 12 {
			t.Errorf("the credentials were read %d times in 5m, want a few", calls)
		}
	})
}

func TestS3CredentialsOutlastARenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expires, away := time.Now().Add(time.Hour), false
		credentials := newCredentials(func(context.Context) (aws.Credentials, error) {
			if away {
				return aws.Credentials{}, errors.New("injected")
			}
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s", CanExpire: true, Expires: expires}, nil
		})
		if _, err := credentials.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		away = true
		<-time.After(59 * time.Minute)
		if found, err := credentials.Retrieve(t.Context()); err != nil || found.AccessKeyID != "a" {
			t.Errorf("a minute before the end: %q (%v)", found.AccessKeyID, err)
		}
		<-time.After(2 * time.Minute)
		if _, err := credentials.Retrieve(t.Context()); err == nil {
			t.Error("credentials are used after their end")
		}
	})
}
