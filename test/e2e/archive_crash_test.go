package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// killsForm says how long processes are killed while records are archived, and how fast everything
// else goes.
type killsForm struct {
	kills      time.Duration
	retention  time.Duration // of the records of a topic
	archiveAge time.Duration // a twentieth of it
	sweep      time.Duration // between generations, and between sweeps
	delay      time.Duration // of uploads, at most
	pause      time.Duration // between two kills, at most
}

// longKills is the variable that selects the long form.
const longKills = "LANEWAY_TEST_ARCHIVING"

func formOfKills() killsForm {
	if os.Getenv(longKills) == "long" {
		return killsForm{kills: 10 * time.Minute, retention: time.Minute, archiveAge: 3 * time.Second, sweep: 15 * time.Second, delay: 5 * time.Second, pause: 10 * time.Second}
	}
	return killsForm{kills: time.Minute, retention: 10 * time.Second, archiveAge: 500 * time.Millisecond, sweep: 3 * time.Second, delay: time.Second, pause: 2 * time.Second}
}

// victims returns the roles that are killed together in a round: each one in the first rounds, and
// then a random one, or two.
func victims(roles []string, round int) []string {
	if round < len(roles) {
		return roles[round : round+1]
	}
	drawn := slices.Clone(roles)
	rand.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	return drawn[:1+rand.IntN(2)]
}

// createTopic creates a topic of one partition with the command line.
func (f *fixture) createTopic(ctx context.Context, t *testing.T, name string, flags ...string) protocol.Partition {
	t.Helper()
	f.Output(f.Laneway(ctx, append([]string{"topic", "create", name}, flags...)...), nil)
	topic, _, err := f.client(t, f.URL()).Admin().TopicInfo(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return topic.Partition(0)
}

// awaitCollected returns when the store has little but the records that topics keep.
func (f *fixture) awaitCollected(ctx context.Context, t *testing.T, topics []*archivedTopic, patience time.Duration) {
	t.Helper()
	const allowance = 16 << 20
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, busy*patience)
	defer cancel()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		elapse(ctx, 500*time.Millisecond) // a listing is not for free
		_, usage := f.storeUsage(ctx, t, 0)
		live := int64(0)
		for _, a := range topics {
			live += a.ledger.Live(time.Now())
		}
		if bound := live + live*3/10 + allowance; usage.Bytes > bound || usage.Waiting.Objects > 0 {
			return fmt.Errorf("the store has %d bytes, %d are live, allowed are %d: %+v", usage.Bytes, live, bound, usage)
		}
		t.Logf("the store has %d bytes, %d are live: %+v", usage.Bytes, live, usage)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	took(t, began, "collecting what is not live")
}

// TestArchivingUnderKills kills every process again and again while records are published,
// archived into a slow store, purged and read. LANEWAY_TEST_ARCHIVING=long selects the long form.
func TestArchivingUnderKills(t *testing.T) {
	form := formOfKills()
	s3 := s3server.Start(t)
	proxy := storeproxy.Start(t, s3.Address)
	f := start(t, deployment.RoleProcesses, deployment.Options{
		Store:      s3server.Location(proxy.Endpoint(), "archived"),
		Stager:     []string{"--linger", "0s", "--fault", fmt.Sprintf("stage.delay=uniform(0,%s)", form.delay)},
		Frontend:   []string{"--cache-bytes", "1"}, // consumers read what is stored
		Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", form.archiveAge.String(), "--snapshot-entries", "50"},
		Archiver:   []string{"--sweep-interval", form.sweep.String()},
	})
	ctx, failed := context.WithCancelCause(within(t, 2*time.Minute+form.kills))
	defer failed(nil)
	expiring := f.createTopic(ctx, t, "expiring", "--retention-age", form.retention.String())
	l := f.underArchivingLoad(ctx, t, failed,
		&archivedTopic{Partition: f.partition, ledger: history.NewLedger(0, idempotentName)},
		&archivedTopic{Partition: expiring, ledger: history.NewLedger(form.retention, idempotentName)},
	)
	roles, killed := f.Roles(), make(map[string]int)
	for began, round := time.Now(), 0; time.Since(began) < form.kills || round < 2*len(roles); round++ {
		chosen := victims(roles, round)
		proxy.Set(storeproxy.Faults{
			Delay: 5 * time.Millisecond, PutDelay: rand.N(form.delay / 2), Late: 0.02, LateBy: form.delay, LoseAnswer: 0.02,
		})
		killing := time.Now()
		f.killUnderLoad(ctx, t, &l.acked, chosen...)
		took(t, killing, "killed: %v", chosen)
		for _, role := range chosen {
			killed[role]++
		}
		l.look(ctx)
		elapse(ctx, rand.N(form.pause))
	}
	t.Logf("killed were %v", killed)
	proxy.Set(storeproxy.Faults{})
	l.end(ctx)
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
	f.awaitCollected(ctx, t, l.topics, 6*form.sweep)
	if strings.Contains(f.Log(deployment.Archiver), "the logs and the store are not from the same time") {
		t.Error("an archiver has raised an alarm although nothing was restored")
	}
}
