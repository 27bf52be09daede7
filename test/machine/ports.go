package machine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below those that the kernel gives to outgoing
// connections: a process that is killed and started again needs the same one.
// Each process of tests prefers a range that no other one holds: otherwise another
// process could take the port while its server is down. If all ranges are held,
// processes share one.
const (
	firstPort = 20000
	ranges    = 4
	perRange  = 3000
)

// portRange is a range of ports.
type portRange struct {
	first int
	held  net.Listener // on the first port, for as long as the process runs; nil if others share the range
}

// ownRange returns the range of this process.
var ownRange = sync.OnceValue(func() portRange {
	var config net.ListenConfig
	for _, n := range rand.Perm(ranges) {
		first := firstPort + n*perRange
		if listener, err := config.Listen(context.Background(), "tcp", address(first)); err == nil {
			return portRange{first, listener}
		}
	}
	return portRange{first: firstPort + rand.IntN(ranges)*perRange}
})

// ports are those that were drawn in this process.
var ports sync.Map

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Address returns a free address of the loopback interface. It is the test's until the test ends.
func Address(t testing.TB) string {
	t.Helper()
	const tries = 100
	for range tries {
		port := ownRange().first + 1 + rand.IntN(perRange-1)
		if _, drawn := ports.LoadOrStore(port, true); drawn {
			continue // by another test of this process, whose server may not listen yet
		}
		t.Cleanup(func() { ports.Delete(port) })
		var config net.ListenConfig
		listener, err := config.Listen(t.Context(), "tcp", address(port))
		if err != nil {
			continue // taken
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address(port)
	}
	t.Fatalf("no free port found in %d tries", tries)
	return ""
}
