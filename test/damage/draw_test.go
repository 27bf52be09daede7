package damage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// basesOf makes bases of these files.
func basesOf(t *testing.T, files ...string) bases {
	t.Helper()
	all := make(bases)
	for _, name := range []string{"stopped", "killed"} {
		all[name] = t.TempDir()
		for _, file := range files {
			path := filepath.Join(all[name], filepath.FromSlash(file))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, make([]byte, 5000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func TestDrawsOfACampaignMeetAllKindsAndFiles(t *testing.T) {
	files := []string{
		"nats/jetstream/$G/streams/LANEWAY_JOURNAL-0/msgs/1.blk", "nats/jetstream/$G/streams/LANEWAY_JOURNAL-0/msgs/index.db",
		"nats/jetstream/$G/streams/KV_LANEWAY_TOPICS/meta.inf", "objects/o/0000000000000003/01", "laneway.lock",
	}
	all := basesOf(t, files...)
	for seed := range uint64(5) {
		met := make(map[string]bool)
		for n := range 9 {
			d, err := all.draw(seed, n)
			if err != nil {
				t.Fatal(err)
			}
			again, err := all.draw(seed, n)
			if err != nil || again != d {
				t.Errorf("draw %d of seed %d is %v, then %v, %v", n, seed, d, again, err)
			}
			if parsed, err := Parse(d.String()); err != nil || parsed != d {
				t.Errorf("%v is read as %v, %v", d, parsed, err)
			}
			met[d.File], met[string(d.Kind)] = true, true
		}
		if want := len(files) + len(Kinds()); len(met) != want {
			t.Errorf("seed %d meets %d files and kinds of %d: %v", seed, len(met), want, met)
		}
	}
}

func TestEveryFileMeetsEveryKindHoweverManyThereAre(t *testing.T) {
	for count := range 9 {
		var files []string
		for n := range count + 1 {
			files = append(files, fmt.Sprint("file-", n))
		}
		all, met := basesOf(t, files...), make(map[string]bool)
		pairs := len(files) * len(Kinds())
		for n := range pairs {
			d, err := all.draw(1, n)
			if err != nil {
				t.Fatal(err)
			}
			met[d.File+" "+string(d.Kind)] = true
		}
		if len(met) != pairs {
			t.Errorf("%d files meet %d kinds together, want %d", len(files), len(met), pairs)
		}
	}
}

func TestDamageIsWhatItsKindSays(t *testing.T) {
	content := make([]byte, 10000)
	for i := range content {
		content[i] = byte(i%255 + 1)
	}
	zeroed := slices.Clone(content)
	clear(zeroed[4096:8192])
	altered := slices.Clone(content)
	altered[5000] ^= 3
	for kind, want := range map[Kind][]byte{Alter: altered, Zero: zeroed, Cut: content[:5000]} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "f"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (Draw{File: "f", Kind: kind, Position: 5000, Mask: 3}).Apply(folder); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, "f")); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
	}
}
