package topics_test

import (
	"testing"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
)

func TestLogsBeginWithAWatermark(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(t.Context(), conn, js)
	if err != nil {
		t.Fatal(err)
	}
	store, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := generation.Open(t.Context(), generation.Cluster{Conn: conn, JS: js, Store: store}); err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want < 4; want++ {
		name := string(rune('a' + want))
		topic := create(t.Context(), t, registry, name, 2)
		for n := range 2 {
			state, err := partitionlog.New(conn, js, topic.Partition(n)).State(t.Context())
			if err != nil || state.Watermark != want {
				t.Errorf("a log of %s has the watermark %d, %v; want %d", name, state.Watermark, err, want)
			}
		}
		if _, err := generation.Raise(t.Context(), conn, js, want+2, 0); err != nil {
			t.Fatal(err)
		}
	}
}
