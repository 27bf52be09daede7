package client

import (
	"hash/fnv"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"
)

func TestPlacementMatchesNATS(t *testing.T) {
	for partitions := 1; partitions <= 256; partitions *= 3 {
		mapping, err := server.NewSubjectTransform("key.*", "{{partition("+strconv.Itoa(partitions)+",1)}}")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "customer-7", "customer-8", "Zürich", "0"} {
			want, err := mapping.Match("key." + key)
			if got := strconv.Itoa(placeOf(key, partitions)); err != nil || got != want {
				t.Errorf("%s goes to %s of %d, with NATS to %s (%v)", key, got, partitions, want, err)
			}
		}
	}
}

func TestPlacementIsFNV1a(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, partitions := rapid.String().Draw(t, "key"), rapid.IntRange(1, 256).Draw(t, "partitions")
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(key))
		if got, want := placeOf(key, partitions), int(hash.Sum32()%uint32(partitions)); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}
