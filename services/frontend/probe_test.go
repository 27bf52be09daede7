package frontend

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/pkg/protocol"
)

// TestBatchesAreInlineOnlyWhileReplicatorsArchive lets a replicator be replaced by one that archives,
// and that one by one that does not. Nothing else would remove inline batches from the log.
func TestBatchesAreInlineOnlyWhileReplicatorsArchive(t *testing.T) {
	r := start(t)
	r.request(protocol.TopicAPI+"create", `{"name":"orders"}`, nil)
	for _, archive := range []bool{false, true, false} {
		r.archive.Store(archive)
		r.eventually("the answer to a probe", func() bool { return r.service.roles().Archives == archive })
		for body, want := range map[string]bool{"apple": archive, strings.Repeat("x", 101): false} {
			if r.request("laneway.produce.orders.0", body, nil); r.inline.Load() != want {
				t.Errorf("archiving %t: a batch with a record of %d bytes may be inline: %t", archive, len(body), r.inline.Load())
			}
		}
	}
}

func TestProbesReportRolesThatNoInstanceServes(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	p, err := newProbes(conn, zap.NewNop(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p.round(t.Context())
	}
	if unready := p.status.Load().Unready; unready == nil || !strings.Contains(unready.Detail, "none is connected to NATS, start one") {
		t.Errorf("unready: %v", unready)
	}
	if p.status.Load().Refusal == nil {
		t.Error("requests are taken")
	}
	p.answered(&nats.Msg{Subject: p.prefix + "0"})
	p.answered(&nats.Msg{Subject: p.prefix + "9"})
	if silent := p.status.Load().Silent; silent != [...]int64{0, 1, 1, 1} {
		t.Errorf("silent roles %v", silent)
	}
	conn.Close()
	p.round(t.Context())
}
