package machine

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below those that the kernel gives to outgoing
// connections: a process that is killed and started again needs the same one.
const (
	firstPort = 20000
	lastPort  = 32000
)

// ports are those that were drawn in this process.
var ports sync.Map

// Address returns a free address of the loopback interface.
func Address(t testing.TB) string {
	t.Helper()
	const tries = 100
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, drawn := ports.LoadOrStore(port, true); drawn {
			continue // by a process that does not listen yet
		}
		a := fmt.Sprintf("127.0.0.1:%d", port)
		var config net.ListenConfig
		listener, err := config.Listen(t.Context(), "tcp", a)
		if err != nil {
			continue // taken
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Fatalf("no free port found in %d tries", tries)
	return ""
}
