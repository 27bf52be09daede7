package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

// peerConfig is a NATS server of a cluster. It has the settings of deploy/nats/nats-server.conf that matter.
const peerConfig = `
server_name: peer-%d
max_payload: 8MB
max_pending: 512MB
jetstream {
  store_dir: %q
  max_memory_store: 64MB
  sync_interval: always
}
`

// inCluster starts two NATS servers, and returns them with the options of a deployment whose NATS server is the third
// one of their cluster.
func inCluster(t *testing.T) (options deployment.Options, peers []*deployment.NATSServer) {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, machine.Address(t))
	}
	member := func(n int) string {
		return fmt.Sprintf("\ncluster {\n  name: lab\n  listen: %s\n  routes: [\"nats://%s\"]\n}\n", routes[n], strings.Join(routes, `", "nats://`))
	}
	for n := 1; n < len(routes); n++ {
		peers = append(peers, deployment.StartNATSServer(t, fmt.Sprintf(peerConfig, n, t.TempDir())+member(n)))
	}
	return deployment.Options{NATS: member(0)}, peers
}

// status returns what laneway cluster status prints.
func (f *fixture) status(ctx context.Context, t *testing.T) string {
	t.Helper()
	return f.Output(f.Laneway(ctx, "cluster", "status"), nil)
}

// awaitStatus returns when laneway cluster status prints all of these texts, and none of the others.
func (f *fixture) awaitStatus(ctx context.Context, t *testing.T, want []string, others ...string) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		printed := f.status(ctx, t)
		for _, text := range want {
			if !strings.Contains(printed, text) {
				return fmt.Errorf("%q is missing:\n%s", text, printed)
			}
		}
		for _, text := range others {
			if strings.Contains(printed, text) {
				return fmt.Errorf("%q is printed:\n%s", text, printed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// streams returns the streams of a deployment, which are all of Laneway.
func (f *fixture) streams(ctx context.Context, t *testing.T) (all []*jetstream.StreamInfo) {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	listed := js.ListStreams(ctx)
	for info := range listed.Info() {
		all = append(all, info)
	}
	if err := listed.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// nats runs the command line of NATS.
func (f *fixture) nats(ctx context.Context, command string) {
	f.Output(f.NATSCommand(ctx, strings.Fields(command)...), nil)
}

// kept is printed of a stream that has too few replicas.
const kept = "is kept on 1 NATS server, and should be on 3; what to do: "

func TestClusterStatusSaysWhatIsNotReplicated(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	options, peers := inCluster(t)
	f := start(t, deployment.RoleProcesses, options)
	f.AwaitReady(ctx)
	const fewest = 8 // four buckets of topics, members, epochs and the cluster, snapshots, a journal, marks and more
	all := f.streams(ctx, t)
	for _, info := range all {
		if info.Config.Replicas != 3 {
			t.Errorf("%s has %d replicas", info.Config.Name, info.Config.Replicas)
		}
	}
	if len(all) < fewest {
		t.Errorf("there are only %d streams", len(all))
	}
	f.awaitStatus(ctx, t, nil, "KV_", "LANEWAY_")

	f.nats(ctx, "kv edit LANEWAY_TOPICS --replicas 1")
	f.nats(ctx, "stream edit LANEWAY_SNAPSHOTS --replicas 1 --force")
	f.Output(f.Laneway(ctx, "topic", "create", "single", "--replicas", "1"), nil)
	f.awaitStatus(ctx, t, []string{
		"KV_LANEWAY_TOPICS: it " + kept + "nats kv edit LANEWAY_TOPICS --replicas 3\n",
		"LANEWAY_SNAPSHOTS: it " + kept + "nats stream edit LANEWAY_SNAPSHOTS --replicas 3\n",
		": it " + kept + "the topics in it were created with --replicas 1, which cannot be changed; if that is too few, create others and copy the records\n",
	}, "KV_LANEWAY_CLUSTER", "LANEWAY_MARKS")
	f.nats(ctx, "kv edit LANEWAY_TOPICS --replicas 3")
	f.nats(ctx, "stream edit LANEWAY_SNAPSHOTS --replicas 3 --force")
	f.Output(f.Laneway(ctx, "topic", "delete", "single"), nil)
	f.awaitStatus(ctx, t, nil, "KV_", "LANEWAY_SNAPSHOTS")

	f.nats(ctx, "kv put LANEWAY_CLUSTER replicas 5")
	f.awaitStatus(ctx, t, []string{"KV_LANEWAY_TOPICS: it is kept on 3 NATS servers, and should be on 5; what to do: nats kv edit LANEWAY_TOPICS --replicas 5\n"})
	f.nats(ctx, "kv put LANEWAY_CLUSTER replicas 3")
	f.awaitStatus(ctx, t, nil, "KV_")

	peers[1].Kill(t)
	f.awaitStatus(ctx, t, []string{
		"KV_LANEWAY_TOPICS: 2 of its 3 replicas are up to date; not reachable: peer-2; what to do: start peer-2 again, or another NATS server with the same name",
		"LANEWAY_SNAPSHOTS: ", "KV_LANEWAY_MEMBERS: ",
	})
	members, said, err := f.statusJSON(ctx)
	if err != nil || len(members) != 5 || !strings.Contains(said, "not reachable: peer-2") {
		t.Errorf("with --json, %d members are listed (%v), and printed is %q", len(members), err, said)
	}
}

func TestNumberOfReplicasIsDecidedOnce(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		role := f.Of(deployment.Sequencer)
		f.Terminate(role)
		begin := []string{role}
		if kind == deployment.OneProcess {
			begin = append(begin, "--data", f.Data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
		} else {
			begin = append(begin, "--nats", f.URL())
		}
		code, output, err := deployment.ExitCode(f.Laneway(ctx, append(begin, "--replicas", "3")...))
		if err != nil || code != 1 || !strings.Contains(output, "REPLICAS_MISMATCH: this Laneway keeps another number of replicas: it keeps 1, and --replicas is 3") {
			t.Errorf("with another number it ends with code %d, %v\n%s", code, err, output)
		}
		f.Restart(role)
		f.AwaitReady(ctx)
	})
}

func TestReplicasNeedAsManyServers(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	code, output, err := deployment.ExitCode(exec.CommandContext(ctx, machine.Binary("laneway"), "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "", "--replicas", "3"))
	if err != nil || code != 1 || !strings.Contains(output, "NATS has too few servers for the replicas: 3 are needed") || !strings.Contains(output, "what to do: start as many NATS servers") {
		t.Errorf("it ends with code %d, %v\n%s", code, err, output)
	}
}

// Accounts of a NATS server: Laneway's may ask how the servers sync, or may not.
const (
	mayAsk = `
accounts {
  SYS: { users: [{user: admin, password: admin}], exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [LANEWAY]}] }
  LANEWAY: { jetstream: enabled, users: [{user: laneway, password: laneway}], imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}] }
}
system_account: SYS
no_auth_user: laneway
`
	mayNotAsk = `
accounts {
  SYS: { users: [{user: admin, password: admin}] }
  LANEWAY: { jetstream: enabled, users: [{user: laneway, password: laneway, permissions: {publish: ["$JS.>", "_INBOX.>"]}}] }
}
system_account: SYS
no_auth_user: laneway
`
)

func TestClusterStatusSaysWhichServersDoNotSync(t *testing.T) {
	t.Parallel() // it waits most of the time
	const always, lazy, unseen = "  sync_interval: always", "acknowledges writes before they are on disk", "cannot be seen"
	for name, c := range map[string]struct {
		config, sync string
		want         string
		others       []string
	}{
		"synced":                           {mayAsk, always, "ROLE", []string{lazy, unseen, "what to do"}},
		"not synced":                       {mayAsk, "", "NATS server alone " + lazy, []string{unseen}},
		"synced at intervals":              {mayAsk, "  sync_interval: 10s", "NATS server alone " + lazy, []string{unseen}},
		"nobody answers":                   {"", "", "by this user; what to do: check that", []string{lazy, "ermission"}},
		"the user may not ask":             {mayNotAsk, "", "by this user; what to do: check that", []string{lazy, "ermission"}},
		"the user may not ask, and synced": {mayNotAsk, always, unseen, []string{lazy}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, time.Minute)
			url := deployment.StartNATS(t, fmt.Sprintf("server_name: alone\njetstream {\n  store_dir: %q\n%s\n}\n%s", t.TempDir(), c.sync, c.config))
			code, output, err := deployment.ExitCode(exec.CommandContext(ctx, machine.Binary("laneway"), "cluster", "status", "--server", url))
			if err != nil || code != 0 || !strings.Contains(output, c.want) {
				t.Errorf("it ends with code %d (%v), and %q is missing:\n%s", code, err, c.want, output)
			}
			for _, other := range c.others {
				if strings.Contains(output, other) {
					t.Errorf("%q is printed:\n%s", other, output)
				}
			}
		})
	}
}

func TestClusterStatusKnowsThatServeSyncs(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.awaitStatus(ctx, t, []string{"serve/"}, "sync", "what to do")
}
