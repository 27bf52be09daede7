package kvbucket_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

var mismatch = protocol.NewError(protocol.CodeReplicasMismatch, "")

// cluster is three servers with nothing of Laneway.
type cluster struct {
	*testing.T
	ctx  context.Context
	conn *nats.Conn
	js   jetstream.JetStream
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{T: t, ctx: ctx}
	c.conn, c.js = embeddedtest.Cluster(t)
	return c
}

// decide lets a process that starts decide.
func (c *cluster) decide(wanted int) (int, error) {
	return kvbucket.DecideReplicas(c.ctx, c.js, wanted, nil)
}

// want checks what processes get that start now, and what buckets have that are created now.
func (c *cluster) want(number int) {
	c.Helper()
	for _, wanted := range []int{0, number} {
		if got, err := c.decide(wanted); err != nil || got != number {
			c.Errorf("with --replicas %d: %d, %v, want %d", wanted, got, err, number)
		}
	}
	if got, err := c.decide(4 - number); !errors.Is(err, mismatch) {
		c.Errorf("with another number: %d, %v", got, err)
	}
	const later = "LATER"
	if _, err := kvbucket.OpenBucket(c.ctx, c.js, later, ""); err != nil {
		c.Fatal(err)
	}
	if got := c.configured(later); got != number {
		c.Errorf("a bucket that is created has %d replicas, want %d", got, number)
	}
	if err := c.js.DeleteKeyValue(c.ctx, later); err != nil {
		c.Error(err)
	}
	if got := kvbucket.Replicas(c.conn); got != number {
		c.Errorf("for the bucket of members: %d, want %d", got, number)
	}
}

// configured returns how many replicas a bucket has.
func (c *cluster) configured(bucket string) int {
	c.Helper()
	stream, err := c.js.Stream(c.ctx, "KV_"+bucket)
	if err != nil {
		c.Fatal(err)
	}
	return stream.CachedInfo().Config.Replicas
}

// reset makes the cluster a new one, or one of a release that kept no number.
func (c *cluster) reset(created int) {
	c.Helper()
	if err := c.js.DeleteKeyValue(c.ctx, "LANEWAY_CLUSTER"); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		c.Fatal(err)
	}
	if created == 0 {
		return
	}
	kv, err := c.js.CreateKeyValue(c.ctx, jetstream.KeyValueConfig{Bucket: "LANEWAY_CLUSTER", Replicas: created})
	if err == nil {
		_, err = kv.PutString(c.ctx, "store", "{}")
	}
	if err != nil {
		c.Fatal(err)
	}
}

func TestFirstStartDecidesTheNumberOfReplicas(t *testing.T) {
	c := newCluster(t)
	for _, first := range []struct{ wanted, is int }{{1, 1}, {3, 3}, {0, 3}} {
		c.reset(0)
		if got, err := c.decide(first.wanted); err != nil || got != first.is {
			t.Fatalf("with --replicas %d: %d, %v, want %d", first.wanted, got, err, first.is)
		}
		if got := c.configured("LANEWAY_CLUSTER"); got != first.is {
			t.Errorf("the bucket of the cluster has %d replicas, want %d", got, first.is)
		}
		c.want(first.is)
	}
}

func TestAClusterThatKeepsNoNumberGoesOnWithTheReplicasItHas(t *testing.T) {
	c := newCluster(t)
	for _, number := range []int{1, 3} {
		c.reset(number)
		if got, err := c.decide(4 - number); !errors.Is(err, mismatch) {
			t.Errorf("with another number than %d: %d, %v", number, got, err)
		}
		c.want(number)
		if got := c.configured("LANEWAY_CLUSTER"); got != number {
			t.Errorf("its bucket has %d replicas instead of %d", got, number)
		}
	}
}

func TestAnOperatorCanChangeTheNumberOfReplicas(t *testing.T) {
	c := newCluster(t)
	c.reset(1)
	c.want(1)
	kv, err := c.js.KeyValue(c.ctx, "LANEWAY_CLUSTER")
	if err == nil {
		_, err = kv.PutString(c.ctx, "replicas", "3")
	}
	if err != nil {
		t.Fatal(err)
	}
	c.want(3)
	if _, err := kv.PutString(c.ctx, "replicas", "three"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.decide(0); !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("a damaged number is read as %d, %v", got, err)
	}
}

func TestProcessesThatStartTogetherDecideTheSameNumberOfReplicas(t *testing.T) {
	c := newCluster(t)
	const starts = 6
	var numbers [starts]int
	var errs [starts]error
	var all sync.WaitGroup
	for n := range starts {
		all.Go(func() { numbers[n], errs[n] = c.decide(1 + 2*(n%2)) })
	}
	all.Wait()
	started := 0
	for n, err := range errs {
		switch {
		case err == nil && numbers[n] == 1+2*(n%2) && numbers[n] == c.configured("LANEWAY_CLUSTER"):
			started++
		case !errors.Is(err, mismatch):
			t.Errorf("process %d keeps %d, %v", n, numbers[n], err)
		}
	}
	if started != starts/2 {
		t.Errorf("%d processes have started, want those with the same number", started)
	}
}

func TestReplicasNeedServers(t *testing.T) {
	c := newCluster(t)
	if got, err := c.decide(5); !errors.Is(err, kvbucket.ErrTooFewServers) {
		t.Errorf("5 replicas on three servers: %d, %v", got, err)
	}
	_, js := embeddedtest.Start(t)
	began := time.Now()
	if got, err := kvbucket.DecideReplicas(c.ctx, js, 3, nil); !errors.Is(err, kvbucket.ErrTooFewServers) || time.Since(began) > 5*time.Second {
		t.Errorf("3 replicas on a single server: %d, %v, after %s", got, err, time.Since(began))
	}
	if got, err := kvbucket.DecideReplicas(c.ctx, js, 0, nil); err != nil || got != 1 {
		t.Errorf("on a single server: %d, %v, want 1", got, err)
	}
}
