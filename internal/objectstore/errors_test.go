package objectstore

import (
	"fmt"
	"testing"
)

func TestOnlySomeErrorsMayPass(t *testing.T) {
	for err, want := range map[error]bool{
		ErrThrottled: true, ErrUnreachable: true, ErrConflict: true, ErrShort: true, ErrDigest: true,
		ErrExists: false, ErrNotFound: false, ErrFull: false, ErrDenied: false, ErrCredentials: false, ErrClock: false,
		ErrNoBucket: false, ErrRegion: false, ErrTLS: false,
	} {
		if got := Passing(fmt.Errorf("request: %w", err)); got != want {
			t.Errorf("%v: %t, want %t", err, got, want)
		}
	}
}
