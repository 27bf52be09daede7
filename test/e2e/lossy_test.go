package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// loseFirst runs a proxy before a NATS server that loses the first message to a
// subject, as a network does that breaks at the wrong moment. It returns where it
// listens.
func loseFirst(t *testing.T, server, subject string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var lost atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { relay(client, server, subject, &lost) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return listener.Addr().String()
}

// relay carries a connection in both directions until one side ends.
func relay(client net.Conn, server, subject string, lost *atomic.Bool) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, upstream) // how it ends does not matter
	})
	forward(bufio.NewReader(client), upstream, subject, lost)
	upstream.Close()
	back.Wait()
}

// forward passes on what a client writes, but for one message.
func forward(in *bufio.Reader, out io.Writer, subject string, lost *atomic.Bool) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		message := []byte(line)
		if size := bodySize(line); size >= 0 {
			message = append(message, make([]byte, size+2)...)
			if _, err := io.ReadFull(in, message[len(line):]); err != nil {
				return
			}
			if strings.Contains(line, subject) && lost.CompareAndSwap(false, true) {
				continue
			}
		}
		if _, err := out.Write(message); err != nil {
			return
		}
	}
}

// bodySize returns how many bytes follow a line of the NATS protocol, before a
// line break; -1 if none do.
func bodySize(line string) int {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "PUB" && fields[0] != "HPUB" {
		return -1
	}
	var size int
	if _, err := fmt.Sscan(fields[len(fields)-1], &size); err != nil {
		return -1
	}
	return size
}
