package replication

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// jetStreamRequest is answered by all servers, to those who may send it: users of the system account, and of
	// accounts that import it from there.
	jetStreamRequest = "$SYS.REQ.SERVER.PING.JSZ"
	// firstAnswer is how long the first server may take to answer, and nextAnswer how long each next one may take.
	firstAnswer = time.Second
	nextAnswer  = 300 * time.Millisecond
)

// Syncs asks the NATS servers of the cluster whether they sync each write before they acknowledge it, and returns the
// answers by the names of the servers. It returns none if the connection may not ask.
func Syncs(conn *nats.Conn) (always map[string]bool, err error) {
	defer silencePermissions(conn)()
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err == nil {
		defer func() { _ = answers.Unsubscribe() }() // an error means that the connection is closed
		err = conn.PublishRequest(jetStreamRequest, inbox, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("ask how the NATS servers sync: %w", err)
	}
	always = make(map[string]bool)
	for wait := firstAnswer; ; wait = nextAnswer {
		m, err := answers.NextMsg(wait)
		switch {
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrPermissionViolation):
			return always, nil
		case err != nil:
			return nil, fmt.Errorf("ask how the NATS servers sync: %w", err)
		}
		var answer jetStreamAnswer
		if json.Unmarshal(m.Data, &answer) == nil && answer.Data != nil && !answer.Data.Disabled && answer.Server.Cluster == conn.ConnectedClusterName() {
			always[answer.Server.Name] = answer.Data.Config.SyncAlways
		}
	}
}

// jetStreamAnswer is what a server says of itself and of its JetStream.
type jetStreamAnswer struct {
	Server struct {
		Name    string `json:"name"`
		Cluster string `json:"cluster"`
	} `json:"server"`
	Data *struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	} `json:"data"`
}

// silencePermissions makes a connection ignore that it may not do something, until the returned function is called.
// Otherwise the client would print that.
func silencePermissions(conn *nats.Conn) (end func()) {
	before := conn.ErrorHandler()
	conn.SetErrorHandler(func(c *nats.Conn, s *nats.Subscription, err error) {
		if before != nil && !errors.Is(err, nats.ErrPermissionViolation) {
			before(c, s, err)
		}
	})
	return func() { conn.SetErrorHandler(before) }
}
