package embedded

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

var _ server.Logger = (*logAdapter)(nil)

// logAdapter writes the server's log through zap, and follows which streams are being
// restored. The library expects its logger to end the process on a fatal error; logAdapter
// keeps the first one, and [Start] returns it. It is safe for concurrent use.
type logAdapter struct {
	log *zap.Logger

	said chan struct{} // holds a token when something was logged since the last look

	mu    sync.Mutex
	fatal error
	open  map[string]bool // streams whose restore has started and not ended
}

func newLogAdapter(log *zap.Logger) *logAdapter {
	return &logAdapter{
		log: log.Named("nats").WithOptions(zap.AddCallerSkip(1)), said: make(chan struct{}, 1), open: make(map[string]bool),
	}
}

// Noticef logs a message at info level.
func (a *logAdapter) Noticef(format string, v ...any) {
	line := text(format, v)
	a.log.Info(line)
	a.follow(line)
}

// Warnf logs a warning.
func (a *logAdapter) Warnf(format string, v ...any) {
	line := text(format, v)
	a.log.Warn(line)
	a.follow(line)
}

// restoreLine matches the messages with which the server starts and ends the restore of a stream:
// "Starting restore for stream '$G > S'", "Restored 2 messages for stream '$G > S' in 5ms".
var restoreLine = regexp.MustCompile(`^(Starting restore|Restored .*) for stream '.* > (.*)'`)

// follow records the progress of a start from a log message.
func (a *logAdapter) follow(line string) {
	select {
	case a.said <- struct{}{}:
	default:
	}
	found := restoreLine.FindStringSubmatch(line)
	if found == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(line, "Starting") {
		a.open[found[2]] = true
	} else {
		delete(a.open, found[2])
	}
}

// restoring returns the streams whose restore has started and not ended, sorted.
func (a *logAdapter) restoring() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.open))
}

// Errorf logs an error.
func (a *logAdapter) Errorf(format string, v ...any) { a.log.Error(text(format, v)) }

// Debugf logs a message at debug level.
func (a *logAdapter) Debugf(format string, v ...any) { a.log.Debug(text(format, v)) }

// Tracef logs protocol traces; zap has no level below debug.
func (a *logAdapter) Tracef(format string, v ...any) { a.log.Debug(text(format, v)) }

// Fatalf logs at error level, because zap's fatal level would end the process, and keeps the error.
func (a *logAdapter) Fatalf(format string, v ...any) {
	message := text(format, v)
	a.log.Error(message, zap.Bool("fatal", true))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fatal == nil {
		a.fatal = errors.New(message)
	}
}

// firstFatal returns the first fatal error; nil if there was none.
func (a *logAdapter) firstFatal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fatal
}

// text drops the indentation with which the server draws its start-up banner.
func text(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
