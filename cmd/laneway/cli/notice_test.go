package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoticeIsPrintedOnlyDuringALongWait(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		want string
	}{{noticeAfter - 1, ""}, {2 * noticeAfter, "waiting\n"}} {
		synctest.Test(t, func(t *testing.T) {
			var printed strings.Builder
			n := NewNotice(&printed, "waiting")
			<-time.After(c.wait)
			n.End()
			<-time.After(noticeAfter)
			n.End()
			if printed.String() != c.want {
				t.Errorf("after %v, %q is printed, want %q", c.wait, printed.String(), c.want)
			}
		})
	}
}
