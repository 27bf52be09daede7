package e2e

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/s3server"
)

// tenant is a Laneway that shares a bucket with others.
type tenant struct {
	*fixture
	client *client.Client
	folder string // its part of the bucket; parts of others may be in it
	kept   *series
}

// ownFiles returns the files of a tenant, and when each was written.
func (n *tenant) ownFiles(t *testing.T, others []*tenant) map[string]time.Time {
	t.Helper()
	files := make(map[string]time.Time)
	err := filepath.WalkDir(n.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.ContainsFunc(others, func(o *tenant) bool { return o != n && o.folder == path && strings.HasPrefix(path, n.folder) }) {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err == nil {
			files[path] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestLanewaysShareABucket runs Laneways with different prefixes, of which one begins with another,
// and one is below another. Each archives, deletes a topic and sweeps while the others are stopped:
// to it, their objects would be orphans. Then nothing of theirs may have changed.
func TestLanewaysShareABucket(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	s3 := s3server.Start(t)
	var tenants []*tenant
	for _, prefix := range []string{"a", "a/b", "ab"} {
		options := sweeping(time.Second)
		options.Store = s3.Location(prefix)
		n := &tenant{fixture: start(t, deployment.OneProcess, options), folder: filepath.Join(s3.Folder, filepath.FromSlash(prefix))}
		n.client = client.New(n.conn)
		n.kept = n.publishSeries(ctx, t, n.client, "kept")
		tenants = append(tenants, n)
	}
	for _, n := range tenants {
		n.Terminate(deployment.Serve)
	}
	for _, n := range tenants {
		before := make(map[*tenant]map[string]time.Time)
		for _, other := range tenants {
			before[other] = other.ownFiles(t, tenants)
		}
		n.sweepAlone(ctx, t)
		for _, other := range tenants {
			if other != n && !maps.Equal(before[other], other.ownFiles(t, tenants)) {
				t.Errorf("%s has changed objects of %s", n.Store, other.Store)
			}
		}
		if maps.Equal(before[n], n.ownFiles(t, tenants)) {
			t.Errorf("%s has not changed its own objects", n.Store)
		}
	}
	for _, n := range tenants {
		n.restart(ctx)
		if err := n.kept.follow(ctx, n.client); err != nil {
			t.Errorf("%s: %v", n.Store, err)
		}
		n.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", n.URL())
		mustEnd(ctx, t, []string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "second"), "--store", n.Store},
			n.Store, "belongs to another Laneway")
	}
}

// sweepAlone runs a tenant that archives and deletes a topic until nothing is left of it.
func (n *tenant) sweepAlone(ctx context.Context, t *testing.T) {
	t.Helper()
	n.restart(ctx)
	n.publishSeries(ctx, t, n.client, "deleted")
	n.DeleteTopic(n.conn, "deleted")
	n.awaitNothingWaits(ctx, t)
	n.Terminate(deployment.Serve)
}

func (n *tenant) restart(ctx context.Context) {
	n.Restart(deployment.Serve)
	n.AwaitReady(ctx)
	n.AwaitConnected(ctx, n.conn)
}
