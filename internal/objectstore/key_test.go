package objectstore

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var keyShape = regexp.MustCompile(`^objects/([0-9a-f])/[0-9A-HJKMNP-TV-Z]{26}$`)

func TestKeysAreUniqueAndSpread(t *testing.T) {
	now := time.Now()
	seen := make(map[string]bool)
	digits := make(map[string]int)
	for range 16_000 {
		key, err := NewKey(now, nil)
		if err != nil {
			t.Fatal(err)
		}
		match := keyShape.FindStringSubmatch(key)
		if match == nil || CheckKey(key) != nil {
			t.Fatalf("%q has not the shape of a key", key)
		}
		if seen[key] {
			t.Fatalf("%q came twice", key)
		}
		seen[key] = true
		digits[match[1]]++
	}
	if len(digits) != 16 {
		t.Errorf("%d digits are used, want 16", len(digits))
	}
	for digit, count := range digits {
		if count < 800 || count > 1200 {
			t.Errorf("digit %s has %d of 16000 keys", digit, count)
		}
	}
}

func TestKeysOfADigitSortByTime(t *testing.T) {
	entropy := strings.Repeat("\xff", 9) + "\x05"
	var last string
	for i, now := 0, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); i < 1000; i, now = i+1, now.Add(time.Hour+time.Millisecond) {
		key, err := NewKey(now, strings.NewReader(entropy))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, "objects/5/") || key <= last {
			t.Fatalf("%q follows %q", key, last)
		}
		last = key
		entropy = strings.Repeat("\x00", 9) + "\x05"
	}
}

func TestKeysSayTheirKindAndGeneration(t *testing.T) {
	now := time.Now()
	undated, undatedErr := NewKey(now, nil)
	batches, err := NewBatchesKey(0xcd, now, nil)
	segment, segmentErr := NewSegmentKey(0xab, now, nil)
	manifest, manifestErr := NewManifestKey(1<<63, now, nil)
	if err := errors.Join(err, undatedErr, segmentErr, manifestErr); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key        string
		kind       Kind
		prefix     string
		generation uint64
	}{
		{undated, KindUndated, "objects/", 0},
		{batches, KindBatches, "o/00000000000000cd/", 0xcd},
		{"o/0000000000000000/" + segment[len(segment)-26:], "", "o/", 0},
		{segment, KindSegment, "s/00000000000000ab/", 0xab},
		{manifest, KindManifest, "m/8000000000000000/", 1 << 63},
		{"s/0000000000000000/" + segment[len(segment)-26:], "", "s/", 0},
		{"s/00000000000000AB/" + segment[len(segment)-26:], "", "s/", 0},
		{"s/0ab/" + segment[len(segment)-26:], "", "s/", 0},
		{"s/+0000000000000ab/" + segment[len(segment)-26:], "", "s/", 0},
		{segment + "0", "", "s/", 0},
		{"x" + segment, "", "x", 0},
		{"", "", "", 0},
	} {
		if kind, generation := KeyKind(c.key), KeyGeneration(c.key); kind != c.kind || generation != c.generation {
			t.Errorf("%q: kind %q, generation %#x, want %q and %#x", c.key, kind, generation, c.kind, c.generation)
		}
		if IsKey(c.key) != (c.kind != "") || !strings.HasPrefix(c.key, c.prefix) {
			t.Errorf("%q: IsKey is %v, want the prefix %q", c.key, IsKey(c.key), c.prefix)
		}
		if c.kind != "" && (CheckKey(c.key) != nil || !KeyTime(c.key).Equal(now.Truncate(time.Millisecond))) {
			t.Errorf("%q: %v, made at %v, want %v", c.key, CheckKey(c.key), KeyTime(c.key), now)
		}
	}
	if key, err := NewBatchesKey(0, now, nil); err == nil {
		t.Errorf("%q has generation 0", key)
	}
}

func TestKeysNeedEntropyAndAPossibleTime(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := NewKey(time.Now(), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
	if _, err := NewKey(time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), bytes.NewReader(make([]byte, 10))); err == nil {
		t.Error("the year 20000 was accepted")
	}
}

// TestDocsListTheKindsOfObjects compares the tables of keys with the kinds that are stored.
func TestDocsListTheKindsOfObjects(t *testing.T) {
	var want []string
	for _, kind := range Kinds() {
		if kind != KindUndated { // no role stores such objects any more
			want = append(want, string(kind)+"<generation>/<ULID>")
		}
	}
	slices.Sort(want)
	for page, row := range map[string]string{
		"stores.md":  "(?m)^\\| `prefix/<cluster id>/([^`]*)`",
		"storage.md": "(?m)^\\| `([^`]*<ULID>)`",
	} {
		content, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, match := range regexp.MustCompile(row).FindAllSubmatch(content, -1) {
			got = append(got, string(match[1]))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("docs/%s lists %q, want %q", page, got, want)
		}
	}
}
