package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
	"laneway.dev/test/s3server"
)

// awsCopy stands for the tool of AWS. It writes the files in which the S3 server keeps its objects.
const awsCopy = `aws() {
    test "$1 $2" = "s3 cp" || return 2
    shift 2
    recursive= exclude=
    while test $# -gt 2; do
        case $1 in
        --recursive) recursive=1 ;;
        --exclude) exclude=$2; shift ;;
        *) return 2 ;;
        esac
        shift
    done
    to=$BUCKETS/${2#s3://}
    if test -n "$recursive"; then
        mkdir -p "$to"
        tar -C "$1" --exclude "./$exclude" -cf - . | tar -C "$to" -xf -
    else
        mkdir -p "$(dirname "$to")"
        cp "$1" "$to"
    fi
}
set -e
`

// TestStoreMovesFromAFolderIntoABucket runs the commands of docs/stores.md.
func TestStoreMovesFromAFolderIntoABucket(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	options := sweeping(time.Second)
	options.Store, options.Frontend = filepath.Join(t.TempDir(), "objects"), uploadsAll
	f := start(t, deployment.OneProcess, options)
	archived := f.publishSeries(ctx, t, f.client(t, f.URL()), "archived")
	f.awaitSweeps(ctx, 1)
	if ack := f.request(ctx, t, record("uploaded last")); ack.Error != nil {
		t.Fatal(ack.Error)
	}
	cluster := f.verifyStore(ctx, t, 0, nil, "--nats", f.URL()).Store.Cluster
	f.Terminate(deployment.Serve)

	s3 := s3server.Start(t)
	commands := strings.NewReplacer("/var/lib/laneway/objects", f.Store, "s3://bucket/prefix", "s3://"+filepath.Base(s3.Folder)+"/moved", "CLUSTER_ID", cluster).
		Replace(documentedBlock(t, "stores.md", "sh"))
	f.Output(f.Shell(ctx, "BUCKETS='"+filepath.Dir(s3.Folder)+"'\n"+awsCopy+commands), nil)
	if err := os.RemoveAll(f.Store); err != nil {
		t.Fatal(err)
	}
	f.Store = s3.Location("moved")
	f.Succeed(deployment.Serve, "--store", f.Store)
	f.AwaitReady(ctx)
	f.AwaitConnected(ctx, f.conn)
	f.awaitSweeps(ctx, 1)
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged", cluster}, "--nats", f.URL())
	if err := archived.follow(ctx, f.client(t, f.URL())); err != nil {
		t.Error(err)
	}
	if got := f.Output(f.Laneway(ctx, "consume", "orders"), nil); got != "uploaded last\n" {
		t.Errorf("%q came back", got)
	}
}

// documentedBlock returns the first block in a language of a page in docs.
func documentedBlock(t *testing.T, page, language string) string {
	t.Helper()
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "```"+language+"\n")
	block, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatalf("docs/%s has no block of %s", page, language)
	}
	return block
}
