package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// noticeAfter is how long a command is silent while it waits.
const noticeAfter = 2 * time.Second

// Notice prints a line if a command waits for long, so that it does not look as if it hangs. Its
// method is safe for concurrent use.
type Notice struct {
	timer *time.Timer
	mutex sync.Mutex
	ended bool
}

// NewNotice returns a Notice that prints a line unless it is ended within two seconds. Nothing else
// may write to w until then.
func NewNotice(w io.Writer, line string) *Notice {
	n := new(Notice)
	n.timer = time.AfterFunc(noticeAfter, func() {
		n.mutex.Lock()
		defer n.mutex.Unlock()
		if !n.ended {
			_, _ = fmt.Fprintln(w, line) // the command goes on without it
		}
	})
	return n
}

// AwaitStore returns a Notice that the command waits for an object store.
func AwaitStore(w io.Writer, location StoreLocation) *Notice {
	return NewNotice(w, fmt.Sprintf("waiting for the object store %s, which has not answered yet", location))
}

// End ends the notice. The line is not printed after End has returned. Further calls do nothing.
func (n *Notice) End() {
	n.timer.Stop()
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.ended = true
}
