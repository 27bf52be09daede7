package journal

import (
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// open are the journals that users of a connection share.
var open = struct {
	sync.Mutex
	of map[*nats.Conn]map[string]*Journal // by their streams
}{of: make(map[*nats.Conn]map[string]*Journal)}

// Of returns the journal of a log that all users of a connection share: one index and one append under way
// are enough for a process. It ends with the connection.
func (k Kind) Of(conn *nats.Conn, js jetstream.JetStream, log uint16) *Journal {
	open.Lock()
	defer open.Unlock()
	if j := open.of[conn][k.Stream(log)]; j != nil {
		return j
	}
	if open.of[conn] == nil {
		open.of[conn] = make(map[string]*Journal)
		closed := conn.StatusChanged(nats.CLOSED)
		if conn.IsClosed() { // before it would be reported
			conn.RemoveStatusListener(closed)
		}
		go endWith(conn, closed)
	}
	j := Open(Config{Conn: conn, JS: js, Kind: k, Log: log})
	open.of[conn][k.Stream(log)] = j
	return j
}

// endWith ends the journals of a connection when it is closed.
func endWith(conn *nats.Conn, closed <-chan nats.Status) {
	<-closed
	open.Lock()
	defer open.Unlock()
	for _, j := range open.of[conn] {
		j.End(nats.ErrConnectionClosed)
	}
	delete(open.of, conn)
}
