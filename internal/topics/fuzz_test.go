package topics

import (
	"encoding/json"
	"errors"
	"testing"

	"laneway.dev/pkg/protocol"
)

func FuzzRecord(f *testing.F) {
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 3, MaxRecordBytes: 100}, ID: 7}
	record, err := json.Marshal(topic)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("orders", record)
	f.Add("other", record)
	f.Add("orders", []byte(`{"name":"orders","partitions":1000000000,"id":"7"}`))
	f.Add("orders", []byte(`{"name":"orders","partitions":-1,"id":"7"}`))
	f.Add("orders", []byte(`{"name":"orders"}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		topic, err := decode(key, value)
		if err != nil {
			if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
				t.Fatal(err)
			}
			return
		}
		if topic.Name != key || !protocol.ValidTopicName(key) || topic.ID == 0 ||
			topic.Partitions < 1 || topic.Partitions > protocol.MaxPartitions {
			t.Fatalf("%q: %+v", key, topic)
		}
	})
}
