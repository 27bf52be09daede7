package embeddedtest

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/transport"
)

// clusterTimeout bounds the election of a cluster's leader on a busy machine.
const clusterTimeout = time.Minute

// Cluster runs three servers with random ports and temporary folders until the test
// ends. It returns a connection with the options of the services.
func Cluster(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	const size = 3
	var routes []*url.URL
	for _, port := range freePorts(t, size) {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", port)})
	}
	servers := make([]*server.Server, size)
	for i := range servers {
		options := &server.Options{
			ServerName: fmt.Sprint("server-", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes, DisableJetStreamBanner: true,
		}
		options.Cluster.Name, options.Cluster.Host = "cluster", "127.0.0.1"
		if _, err := fmt.Sscan(routes[i].Port(), &options.Cluster.Port); err != nil {
			t.Fatal(err)
		}
		var err error
		if servers[i], err = server.NewServer(options); err != nil {
			t.Fatal(err)
		}
		servers[i].Start()
		t.Cleanup(func() { servers[i].Shutdown(); servers[i].WaitForShutdown() })
	}
	await(t, func() bool {
		for _, s := range servers {
			if s.ReadyForConnections(time.Second) && s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == size {
				return true
			}
		}
		return false
	})
	conn, err := nats.Connect(servers[0].ClientURL(), transport.Options(t.Name(), zaptest.NewLogger(t))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

// await returns when the condition, which no event tells, is true.
func await(t testing.TB, condition func() bool) {
	t.Helper()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(clusterTimeout); !condition(); <-pace.C {
		if time.Now().After(deadline) {
			t.Fatalf("the cluster has no leader after %s", clusterTimeout)
		}
	}
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	var listeners []net.Listener
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, listener)
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	for _, listener := range listeners {
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}
