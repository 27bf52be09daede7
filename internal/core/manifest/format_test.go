package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// documented returns the bytes of the second hexadecimal block of docs/storage.md. What follows
// several spaces in a line is a comment.
func documented(t testing.TB) []byte {
	t.Helper()
	page, err := os.ReadFile("../../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) != 3 {
		t.Fatalf("docs/storage.md has %d blocks of hex", len(blocks))
	}
	digits := regexp.MustCompile("(?m)  .*$").ReplaceAllString(string(blocks[1][1]), "")
	object, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestManifestIsWrittenAsDocumented(t *testing.T) {
	want := &Manifest{
		Key: "m/1/B", Partition: protocol.Partition{Topic: "orders", TopicID: 9, Number: 2}, Start: 4, End: messages.Position{Sequence: 44, Offset: 8},
		Segments: []segment.Summary{{
			Key: "s/1/A", First: 44, Last: 44, Base: 4, End: 8, Size: 325, Records: 1, Damaged: 2, Missing: 1,
			FirstTime: 1_700_000_000_000_000_000, LastTime: 1_700_000_000_000_000_000,
		}},
	}
	if now := Encode(want); !bytes.Equal(now, documented(t)) {
		t.Errorf("the same version now writes\n%s", hex.Dump(now))
	}
	got, err := Decode("m/1/B", documented(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-documented +read\n%s", diff)
	}
}

// sample returns a manifest with every field set, and its newest list.
func sample(t rapid.TB) (*Manifest, *List) {
	t.Helper()
	h := newHistory()
	for range MaxSegments + ListSegments + 1 {
		h.append(t, after(h.Manifest, 2, 3))
	}
	h.Start, h.Waiting = 2, []string{"s/1/old", "m/1/old"}
	return h.Manifest, h.lists[h.Lists[1].Key]
}

func TestManifestSurvivesStorage(t *testing.T) {
	want, list := sample(t)
	got, err := Decode(want.Key, Encode(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
	gotList, err := DecodeList(list.Key, EncodeList(list))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, gotList); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
}

func TestManifestWithoutSegmentsSurvivesStorage(t *testing.T) {
	want := &Manifest{Key: "m/1/x", Partition: partition, Start: 9, End: messages.Position{Sequence: 5, Offset: 9}}
	got, err := Decode(want.Key, Encode(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
}

func TestHeadSaysTheLength(t *testing.T) {
	m, list := sample(t)
	for _, data := range [][]byte{Encode(m), EncodeList(list)} {
		if n, err := ParseHead(data[:HeadSize]); n != int64(len(data)) || err != nil {
			t.Errorf("%d bytes of %d, %v", n, len(data), err)
		}
		for at := range HeadSize {
			data[at] ^= 0x10
			_, err := ParseHead(data[:HeadSize])
			wantMalformed(t, err, "the CRC-32C of the head is")
			data[at] ^= 0x10
		}
		_, err := ParseHead(data[:HeadSize-1])
		wantMalformed(t, err, "a head of 23 bytes")
	}
}

func TestDamageIsRefused(t *testing.T) {
	small := func() *Manifest {
		m := New(partition)
		next, _, err := m.Append("m/1/x", after(&m, 1, 1), "")
		if err != nil {
			t.Fatal(err)
		}
		return next
	}()
	list := &List{Key: "m/1/l", Partition: partition, Segments: small.Segments}
	for name, c := range map[string]struct {
		data   []byte
		decode func([]byte) error
	}{
		"manifest": {Encode(small), func(data []byte) error { _, err := Decode("m/1/x", data); return err }},
		"list":     {EncodeList(list), func(data []byte) error { _, err := DecodeList("m/1/l", data); return err }},
	} {
		if err := c.decode(c.data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for at := range c.data {
			damaged := bytes.Clone(c.data)
			damaged[at] ^= 0x10
			if err := c.decode(damaged); !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
			if err := c.decode(c.data[:at:at]); !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%s, cut off at %d: %v", name, at, err)
			}
		}
		wantMalformed(t, c.decode(append(bytes.Clone(c.data), 0)), "should be")
		version := bytes.Clone(c.data)
		version[8]++
		if err := c.decode(resigned(version)); !errors.Is(err, layout.ErrVersion) || errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s of a version to come: %v", name, err)
		}
	}
	_, err := Decode("m/1/l", EncodeList(list))
	wantMalformed(t, err, "not a manifest")
	_, err = DecodeList("m/1/x", Encode(small))
	wantMalformed(t, err, "not a list")
}

// resigned makes the length and the checksums of an object right again.
func resigned(data []byte) []byte {
	return seal(bytes.Clone(data[:len(data)-layout.SumSize]))
}

func TestInconsistentManifestIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Manifest)
		says   string
	}{
		"another key":               {func(m *Manifest) { m.Key = "m/1/y" }, `the object is the manifest "m/1/y"`},
		"start beyond the end":      {func(m *Manifest) { m.Start = m.End.Offset + 1 }, "a log start offset of"},
		"negative start":            {func(m *Manifest) { m.Start = -1 }, "-1 is negative"},
		"end at another entry":      {func(m *Manifest) { m.End.Sequence++ }, "the segments end with entry"},
		"end at another offset":     {func(m *Manifest) { m.End.Offset++ }, "the segments end with entry"},
		"another incarnation":       {func(m *Manifest) { m.Partition.Incarnation++ }, "the segments end with entry"},
		"hole between segments":     {func(m *Manifest) { m.Segments = slices.Delete(slices.Clone(m.Segments), 3, 4) }, "does not follow"},
		"hole after the lists":      {func(m *Manifest) { m.Segments = m.Segments[1:] }, "does not follow"},
		"lists in another order":    {func(m *Manifest) { m.Lists = []segment.Summary{m.Lists[1], m.Lists[0]} }, "does not follow"},
		"segment that is its own":   {func(m *Manifest) { m.Segments = append(slices.Clip(m.Segments), m.Segments[0]) }, "does not follow"},
		"segment of no consistency": {func(m *Manifest) { m.Segments = slices.Clone(m.Segments); m.Segments[5].Records++ }, "inconsistent"},
		"negative size":             {func(m *Manifest) { m.Segments = slices.Clone(m.Segments); m.Segments[5].Size = -1 }, "-1 is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := sample(t)
			was := m.Key
			c.change(m)
			got, err := Decode(was, Encode(m))
			wantMalformed(t, err, c.says)
			if got != nil {
				t.Errorf("there is a manifest of %d segments", len(got.Segments))
			}
		})
	}
}

func TestInconsistentListIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*List)
		says   string
	}{
		"another key":           {func(l *List) { l.Key = "m/1/y" }, `the object is the list "m/1/y"`},
		"no segments":           {func(l *List) { l.Segments = nil }, "without segments"},
		"hole between segments": {func(l *List) { l.Segments = slices.Delete(slices.Clone(l.Segments), 3, 4) }, "does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			_, l := sample(t)
			was := l.Key
			c.change(l)
			_, err := DecodeList(was, EncodeList(l))
			wantMalformed(t, err, c.says)
		})
	}
}

func TestAbsurdNumbersAllocateNothingBig(t *testing.T) {
	m := &Manifest{Key: "k", Partition: partition}
	whole := Encode(m)
	counts := len(whole) - layout.SumSize - 12 // of lists, segments and waiting keys
	for i := range 3 {
		data := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(data[counts+4*i:], 1<<32-1)
		data = resigned(data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode("k", data)
		runtime.ReadMemStats(&after)
		wantMalformed(t, err, "4294967295 items in")
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("count %d: allocates %d bytes", i, n)
		}
	}
}

func wantMalformed(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, protocol.ErrMalformed) || !strings.Contains(err.Error(), says) {
		t.Fatalf("error is %v, want one that wraps ErrMalformed and says %q", err, says)
	}
}

// FuzzDecode decodes manifests and lists, also with checksums made right. Nothing panics, and what
// is accepted survives another round.
func FuzzDecode(f *testing.F) {
	m, list := sample(f)
	m.Segments, m.End = nil, messages.Position{Sequence: m.Lists[1].Last, Offset: m.Lists[1].End}
	list.Segments = list.Segments[:2]
	for _, data := range [][]byte{Encode(m), EncodeList(list), documented(f), {}} {
		f.Add(data, "m/1/B", true)
		f.Add(data, "m/1/B", false)
	}
	f.Fuzz(func(t *testing.T, data []byte, key string, sign bool) {
		if sign && len(data) >= HeadSize+layout.SumSize {
			data = resigned(data)
		}
		m, err := Decode(key, data)
		if err == nil {
			if again := Encode(m); !bytes.Equal(again, data) {
				t.Fatalf("%+v is written as other bytes", m)
			}
			for _, s := range slices.Concat(m.Lists, m.Segments) {
				if p, ok := m.Locate(s.First); !ok || p.Key != s.Key && p.Last < s.First {
					t.Fatalf("entry %d is searched in %+v", s.First, p)
				}
			}
		}
		l, listErr := DecodeList(key, data)
		if listErr == nil && !bytes.Equal(EncodeList(l), data) {
			t.Fatalf("%+v is written as other bytes", l)
		}
		for _, err := range []error{err, listErr} {
			if err != nil && !errors.Is(err, protocol.ErrMalformed) && !errors.Is(err, layout.ErrVersion) {
				t.Fatal(err)
			}
		}
	})
}
