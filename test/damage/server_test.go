package damage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

// patience ends what hangs: the start of a process takes a minute at most, and so
// does its end.
const patience = time.Minute

// pause is between two looks at a process that starts.
const pause = 100 * time.Millisecond

// server is laneway serve on a folder.
type server struct {
	t      *testing.T
	alone  *deployment.Alone
	nats   string
	http   string
	folder string
	began  time.Time
	code   int // of the process, once it has ended
	ended  bool
}

func serve(t *testing.T, folder, log string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, nats: machine.Address(t), http: machine.Address(t), folder: folder, began: time.Now()}
	args := []string{
		"serve", "--listen", s.nats, "--http", s.http, "--data", folder,
		"--log-format", "json", "--snapshot-entries", "10", "--deadline", "10s",
	}
	s.alone = deployment.StartAlone(t, log, append(args, flags...)...)
	return s
}

// state is what readyz says.
type state struct {
	ready   bool
	unready map[string]string
}

// starting are the words of a process that is not done with its start.
var starting = []string{"still starting", "being taken over", "takes over the logs", "is stopping", "not connected", "has not confirmed"}

// settled reports whether the process has found out what it can do.
func (s state) settled() bool {
	for _, why := range s.unready {
		for _, words := range starting {
			if strings.Contains(why, words) {
				return false
			}
		}
	}
	return s.ready || len(s.unready) > 0
}

// String returns what is not ready.
func (s state) String() string {
	if s.ready {
		return "ready"
	}
	return fmt.Sprint(s.unready)
}

// await returns what the process says of itself once it has started, or has ended.
func (s *server) await() (state, error) {
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), patience, errors.New("it neither starts nor ends"))
	defer cancel()
	pace := time.NewTicker(pause)
	defer pace.Stop()
	var last state
	for {
		select {
		case <-s.alone.Ended():
			s.ended = true
			var err error
			s.code, err = s.alone.Wait(ctx)
			return last, err
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-pace.C:
		}
		if now, err := s.readyz(ctx); err == nil {
			if last = now; now.settled() {
				return now, nil
			}
		}
	}
}

func (s *server) readyz(ctx context.Context) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/readyz", http.NoBody)
	if err != nil {
		return state{}, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return state{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return state{}, err
	}
	var page struct {
		Ready   bool              `json:"ready"`
		Unready map[string]string `json:"unready"`
	}
	err = json.Unmarshal(body, &page)
	return state{page.Ready, page.Unready}, err
}

// connect returns a connection of a user.
func (s *server) connect() (*nats.Conn, error) {
	return nats.Connect("nats://"+s.nats, nats.Timeout(10*time.Second))
}

// stop ends the process, which must end within its time limit.
func (s *server) stop() error {
	if s.ended {
		return nil
	}
	s.alone.Signal(s.t, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(s.t.Context()), patience, errors.New("it does not end"))
	defer cancel()
	code, err := s.alone.Wait(ctx)
	if err == nil && code != 0 && code != 1 {
		err = fmt.Errorf("it ends with code %d", code)
	}
	return err
}

// kill ends the process by SIGKILL.
func (s *server) kill() {
	s.alone.Signal(s.t, syscall.SIGKILL)
	<-s.alone.Ended()
}

// line is one of the log.
type line struct{ level, text string }

// log returns the lines that say that something is wrong.
func (s *server) log() []line {
	var wrong []line
	for text := range strings.Lines(s.alone.Log(s.t)) {
		var fields struct {
			Level string `json:"level"`
		}
		switch err := json.Unmarshal([]byte(text), &fields); {
		case err != nil && strings.HasPrefix(text, "laneway: "): // what a command says at its end
			wrong = append(wrong, line{"error", text})
		case fields.Level == "warn" || fields.Level == "error":
			wrong = append(wrong, line{fields.Level, text})
		}
	}
	return wrong
}

// logged reports whether the log has a line of a level that names one of the words.
func logged(lines []line, level string, words ...string) bool {
	for _, l := range lines {
		for _, w := range words {
			if l.level == level && strings.Contains(l.text, w) {
				return true
			}
		}
	}
	return false
}

func logOf(folder string) string { return filepath.Join(filepath.Dir(folder), "laneway.log") }
