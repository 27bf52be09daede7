package produce

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// maxLane bounds the length of a lane's key, and of a header that names one.
const maxLane = 256

// laneOf returns the key of the lane of a message. Messages of one lane keep their order. The
// key comes from the first of these that the message has:
//
//   - "i:" and its producer id;
//   - "p:" and the producer that its header names;
//   - "c:" and its client, from the request info of an account import;
//   - "r:" and its reply subject without the last token, if that identifies a connection.
//     Example: requests with the replies _INBOX.x7.1 and _INBOX.x7.2 share lane r:_INBOX.x7;
//   - "o:" and a unique name: a lane of its own.
func laneOf(m *nats.Msg, producerID int64, info requestInfo, own func() string) (string, *protocol.Error) {
	if producerID != 0 {
		return "i:" + strconv.FormatInt(producerID, 10), nil
	}
	if name := m.Header.Get(protocol.HeaderProducer); name != "" {
		if len(name) > maxLane {
			return "", protocol.Errorf(protocol.CodeHeaderInvalid, "%s has %d bytes, allowed are %d",
				protocol.HeaderProducer, len(name), maxLane)
		}
		return "p:" + name, nil
	}
	if client := info.client(); client != "" {
		return client, nil
	}
	if connection := connectionOf(m.Reply); connection != "" {
		return connection, nil
	}
	return "o:" + own(), nil
}

// requestInfo is the server's description of a request across an account import. Fields other
// than the account are set only if the import shares them.
type requestInfo struct {
	Account string `json:"acc"`
	ID      uint64 `json:"id"`
	Kind    string `json:"kind"`
	Server  string `json:"server"`
	Start   string `json:"start"`
	Reply   string `json:"reply"` // of the client; only of a fast batch
}

// infoOf returns the Nats-Request-Info of a message; zero if it has none or an invalid one.
func infoOf(header nats.Header) requestInfo {
	text := header.Get(protocol.HeaderRequestInfo)
	if text == "" {
		return requestInfo{}
	}
	var info requestInfo
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return requestInfo{}
	}
	return info
}

// client returns the lane of the client; empty if the info does not identify one client. A
// leaf node, for example, represents many.
func (i requestInfo) client() string {
	if i.ID == 0 || i.Kind != "" && i.Kind != "Client" {
		return ""
	}
	return bounded("c:", i.Account+"/"+i.Server+"/"+strconv.FormatUint(i.ID, 10)+"/"+i.Start)
}

// connectionOf returns the lane of the connection that owns a reply subject; empty if the
// subject does not identify one. The reply subjects of requests across an account import
// (_R_.…) and those with two tokens are new for each request.
func connectionOf(reply string) string {
	if strings.HasPrefix(reply, "_R_.") || strings.Count(reply, ".") < 2 {
		return ""
	}
	return bounded("r:", reply[:strings.LastIndexByte(reply, '.')])
}

// bounded returns prefix and key. A key above maxLane is replaced by its hash.
func bounded(prefix, key string) string {
	if len(key) > maxLane {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:])
	}
	return prefix + key
}
