package embedded

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestDeployedServerMatchesEmbeddedOne(t *testing.T) {
	options, err := server.ProcessConfigFile("../../deploy/nats/nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !options.JetStream || !options.SyncAlways {
		t.Error("sync_interval is not always: an acknowledged write is not on disk")
	}
	if options.MaxPayload != DefaultMaxPayload {
		t.Errorf("max_payload is %d, that of laneway serve is %d", options.MaxPayload, DefaultMaxPayload)
	}
}
