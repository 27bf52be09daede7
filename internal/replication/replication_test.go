package replication

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

func TestStateOfAStream(t *testing.T) {
	current := func(name string) *jetstream.PeerInfo { return &jetstream.PeerInfo{Name: name, Current: true} }
	now := time.Now()
	before := now.Add(-11 * time.Second)
	never := []*jetstream.PeerInfo{current("b"), {Name: "c", Lag: 7}}
	for name, c := range map[string]struct {
		cluster *jetstream.ClusterInfo
		want    Stream
	}{
		"a new leader has not heard of one yet": {&jetstream.ClusterInfo{Leader: "a", LeaderSince: &now, Replicas: never}, Stream{Current: 2, Behind: map[string]uint64{"c": 7}}},
		"a leader has never heard of one":       {&jetstream.ClusterInfo{Leader: "a", LeaderSince: &before, Replicas: never}, Stream{Current: 2, Unreachable: []string{"c"}}},
		"all is there":                          {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{current("b"), current("c")}}, Stream{Current: 3}},
		"a replica is gone":                     {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{current("b")}}, Stream{Current: 2}},
		"a server is killed":                    {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{{Name: "c", Active: 11 * time.Second}, {Name: "b", Offline: true}}}, Stream{Current: 1, Unreachable: []string{"b", "c"}}},
		"a server is late":                      {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{current("b"), {Name: "c", Lag: 7, Active: time.Second}}}, Stream{Current: 2, Behind: map[string]uint64{"c": 7}}},
		"there is no leader":                    {&jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{{Name: "b"}}}, Stream{Behind: map[string]uint64{"b": 0}, Silent: errNoLeader}},
		"one server":                            {nil, Stream{Current: 1}},
	} {
		info := &jetstream.StreamInfo{Cluster: c.cluster, TimeStamp: now}
		info.Config.Name, info.Config.Replicas = "S", 3
		c.want.Name, c.want.Configured = "S", 3
		if c.want.Behind == nil {
			c.want.Behind = make(map[string]uint64)
		}
		if got := stateOf(info); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// unmet returns what is not replicated, with what is configured.
func unmet(ctx context.Context, t *testing.T, js jetstream.JetStream) (configured map[string]int, r Report) {
	t.Helper()
	r, err := Look(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	configured = make(map[string]int)
	for _, s := range r.Unmet {
		if s.Configured < r.Replicas || s.Silent != nil {
			configured[s.Name] = s.Configured
		}
	}
	return configured, r
}

func TestStreamsWithTooFewReplicasAreReported(t *testing.T) {
	conn, js := embeddedtest.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHERS", Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	for name, replicas := range map[string]int{"orders": 3, "notes": 1} {
		if _, err := registry.DecideLogs(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Create(ctx, protocol.TopicConfig{Name: name, Replicas: replicas}); err != nil {
			t.Fatal(err)
		}
	}
	journals := map[string]int{"LANEWAY_JOURNAL-0": 1}
	got, r := unmet(ctx, t, js)
	if !reflect.DeepEqual(got, journals) || r.Replicas != 3 || len(r.Servers) != 3 || !r.Unmet[0].ByTopics {
		t.Errorf("unmet are %v, want %v: %+v", got, journals, r)
	}
	edit := func(name string, replicas int) {
		t.Helper()
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.Replicas = replicas
		if _, err := js.UpdateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	edit("LANEWAY_JOURNAL-2", 1)
	edit("LANEWAY_MARKS-2", 1)
	edit("KV_LANEWAY_TOPICS", 1)
	want := map[string]int{"LANEWAY_JOURNAL-0": 1, "LANEWAY_JOURNAL-2": 1, "LANEWAY_MARKS-2": 1, "KV_LANEWAY_TOPICS": 1}
	if got, r = unmet(ctx, t, js); !reflect.DeepEqual(got, want) {
		t.Errorf("unmet are %v, want %v", got, want)
	}
	for _, s := range r.Unmet {
		if s.ByTopics != (s.Name == "LANEWAY_JOURNAL-0") {
			t.Errorf("%+v", s)
		}
	}
}

func TestASingleServerHasNothingToReport(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := kvbucket.DecideReplicas(ctx, js, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, r := unmet(ctx, t, js); len(r.Unmet) != 0 || r.Replicas != 1 {
		t.Errorf("%+v", r)
	}
	// The user of a server without a system account may not ask.
	if always, err := Syncs(conn); err != nil || len(always) != 0 {
		t.Errorf("servers that say how they sync: %v, %v", always, err)
	}
}
