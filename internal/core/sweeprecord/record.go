// Package sweeprecord has the format of the records that sweeps of the object store leave there. It is
// pure.
package sweeprecord

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"laneway.dev/pkg/protocol"
)

// Record says what a sweep has gone by. It stands in the store, so that the next sweep notices logs
// that were restored from an older copy: the objects to which they refer may be deleted.
type Record struct {
	Key        string `json:"-"`
	Number     uint64 `json:"number"` // above those of all earlier records
	Generation uint64 `json:"generation"`
	Bound      uint64 `json:"bound"`
	Logs       []Log  `json:"logs"`
}

// Log is a log as a sweep has found it.
type Log struct {
	Topic       string `json:"topic"`
	TopicID     uint64 `json:"topic_id"`
	Partition   int32  `json:"partition"`
	Incarnation uint32 `json:"incarnation"`
	Sequence    uint64 `json:"sequence"`
	Watermark   uint64 `json:"watermark"`
}

// Of returns the partition with the incarnation of its log.
func (l Log) Of() protocol.Partition {
	return protocol.Partition{Topic: l.Topic, TopicID: l.TopicID, Number: l.Partition, Incarnation: l.Incarnation}
}

const recordMagic = "laneway-sweep"

// recordVersion is the version of the format.
const recordVersion = 1

// ErrTorn means that a record was not stored completely, because its writer has died.
var ErrTorn = errors.New("the record is incomplete")

// Encode returns the stored form of a record: a line with the version, the length of what
// follows and its CRC-32C, and then JSON.
func Encode(r Record) ([]byte, error) {
	slices.SortFunc(r.Logs, func(a, b Log) int {
		return cmp.Or(cmp.Compare(a.TopicID, b.TopicID), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	body, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%s %d %d %08x\n", recordMagic, recordVersion, len(body), sum(body)), body...), nil
}

// Decode reads the stored form of the record with a key. The error wraps ErrTorn if its end is
// missing.
func Decode(key string, data []byte) (Record, error) {
	head := slices.Index(data, '\n')
	if head < 0 {
		return Record{}, ErrTorn
	}
	var magic string
	var version, length int
	var crc uint32
	if _, err := fmt.Sscanf(string(data[:head]), "%s %d %d %x", &magic, &version, &length, &crc); err != nil || magic != recordMagic {
		return Record{}, fmt.Errorf("%q is not the head of a record", data[:min(head, 80)])
	}
	body := data[head+1:]
	switch {
	case version != recordVersion:
		return Record{}, fmt.Errorf("its version is %d, and this release knows %d", version, recordVersion)
	case len(body) < length:
		return Record{}, ErrTorn
	case len(body) > length, sum(body) != crc:
		return Record{}, errors.New("its content is not that for which it has a checksum")
	}
	r := Record{Key: key}
	err := json.Unmarshal(body, &r)
	return r, err
}

func sum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }
