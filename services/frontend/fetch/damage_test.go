package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/embedded"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func (f *fixture) object(key string) string { return filepath.Join(f.folder, filepath.FromSlash(key)) }

// names checks that an error names the object and the range of an extent.
func names(t *testing.T, m *nats.Msg, x messages.Extent) {
	t.Helper()
	text := m.Header.Get(protocol.HeaderDesc)
	if !strings.Contains(text, x.Key) || !strings.Contains(text, fmt.Sprintf("offset %d, length %d", x.Offset, x.Length)) {
		t.Errorf("the description is %q", text)
	}
}

func TestAlteredBytesAreReported(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("a"), lines("b"), lines("c"))
	x := s.entry.Batches[1].Extent
	content, err := os.ReadFile(f.object(s.entry.Batches[1].Extent.Key))
	must(t, err)
	content[x.Offset+x.Length-1] ^= 1
	must(t, os.WriteFile(f.object(x.Key), content, 0o600))

	c := f.fetch(fields{"offset": 0})
	c.data()
	m := c.fails(protocol.CodeCorrupt)
	names(t, m, x)
	expectOffsets(t, m, 2, 3)
	expectGap(t, m, 1, 1)
	f.fetch(fields{"offset": 2}).wants(protocol.StatusEnd, "c")
}

func TestTruncatedObjectLosesOnlyWhatIsGone(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("a"), lines("b"), lines("c"))
	x := s.entry.Batches[2].Extent
	must(t, os.Truncate(f.object(x.Key), x.Offset+x.Length-1))
	c := f.fetch(fields{"offset": 0})
	c.data()
	c.data()
	names(t, c.fails(protocol.CodeCorrupt), x)
}

func TestMissingObjectIsReportedByName(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("a", "b"))
	f.commit(lines("c"))
	x := s.entry.Batches[0].Extent
	must(t, os.Remove(f.object(x.Key)))
	m := f.fetch(fields{"offset": 0, "frames": true}).fails(protocol.CodeCorrupt)
	names(t, m, x)
	expectOffsets(t, m, 2, 3)
	expectGap(t, m, 0, 1)
	expectGap(t, f.fetch(fields{"offset": 1}).fails(protocol.CodeCorrupt), 1, 1)
	f.fetch(fields{"offset": 2}).wants(protocol.StatusEnd, "c")
}

func TestFrameUnlikeLogIsCorrupt(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commitFrames([][]byte{protocol.EncodeRecord(protocol.Record{Value: []byte("one")})}, []uint32{2})
	names(t, f.fetch(fields{"offset": 0}).fails(protocol.CodeCorrupt), s.entry.Batches[0].Extent)
	s = f.commitFrames([][]byte{[]byte("no frame")}, []uint32{1})
	names(t, f.fetch(fields{"offset": 2}).fails(protocol.CodeCorrupt), s.entry.Batches[0].Extent)
}

func TestUnreadableStoreIsRetryable(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("a"))
	name := f.object(s.entry.Batches[0].Extent.Key)
	must(t, os.Remove(name))
	must(t, os.Mkdir(name, 0o700))
	must(t, os.WriteFile(filepath.Join(name, "x"), nil, 0o600))
	// A folder has a size, but reading it fails.
	m := f.fetch(fields{"offset": 0}).next()
	if got := m.Header.Get(protocol.HeaderError); got != "STORE_UNAVAILABLE" && got != "CORRUPT" {
		t.Errorf("got %v", m.Header)
	}
}

func TestMissingStreamIsUnavailable(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.LogPatience = 50 * time.Millisecond })
	must(t, f.log.Delete(f.context()))
	f.fetch(fields{"offset": 0}).fails(protocol.CodeUnavailable)
}

func TestFrameThatDoesNotFitAMessageIsReported(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.LogPatience = time.Second })
	f.commit(lines("a"))
	f.commit(lines(strings.Repeat("x", embedded.DefaultMaxPayload-10)))
	c := f.fetch(fields{"offset": 0, "frames": true, "max_bytes": 64 << 20})
	c.data()
	expectOffsets(t, c.fails(protocol.CodeMaxPayload), 1, 2)
}
