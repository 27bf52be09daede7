package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var mutants = flag.String("mutants", "", "run these mutants: all, or one by its name")

// mutated are the defects that a campaign must notice: by the folder in mutants,
// the file that it replaces.
var mutated = map[string]string{
	"acks_reversed":                 "services/frontend/core.go",
	"barrier_omitted":               "services/replicator/append.go",
	"cas_omitted":                   "internal/sim/log.go",
	"epoch_begins_anywhere":         "services/replicator/producers/judge.go",
	"expected_id_ignored":           "services/replicator/tail.go",
	"first_unacked_ignored":         "services/replicator/producers/judge.go",
	"floor_closes_no_gap":           "services/replicator/release.go",
	"floor_not_checked":             "services/replicator/release.go",
	"gap_accepted":                  "services/replicator/release.go",
	"history_outlives_epoch":        "services/replicator/producers/flight.go",
	"lane_forgotten_too_early":      "pkg/ticketing/issuer.go",
	"last_turn_unanswered":          "services/frontend/core.go",
	"missing_is_lost":               "services/frontend/repair.go",
	"no_roll_back_of_sequences":     "services/replicator/recover.go",
	"no_watermark":                  "services/replicator/lanes.go",
	"old_frontend_epoch_accepted":   "services/replicator/release.go",
	"old_frontend_not_told":         "services/replicator/release.go",
	"old_sequencer_epoch_accepted":  "services/replicator/release.go",
	"old_sequencer_not_told":        "services/replicator/release.go",
	"re_release_skipped":            "pkg/ticketing/lane.go",
	"refusal_not_logged":            "services/replicator/append.go",
	"releases_relabelled":           "services/sequencer/core.go",
	"requests_of_last_turn_dropped": "services/frontend/core.go",
	"snapshot_one_ahead":            "services/replicator/snapshot.go",
	"snapshot_one_short":            "services/replicator/producers/replay.go",
	"stale_floor_trusted":           "services/replicator/lanes.go",
	"tail_kept":                     "services/replicator/recover.go",
	"term_record_omitted":           "services/replicator/recover.go",
	"ticket_after_sequence":         "services/replicator/release.go",
	"ticket_after_staging":          "services/stager/results.go",
	"time_falls":                    "services/replicator/clock.go",
	"time_of_entry_forgotten":       "services/replicator/append.go",
	"unknown_is_definite":           "pkg/delivery/window.go",
	"window_counted":                "pkg/delivery/window.go",
}

const (
	// mutantSeeds is how many seeds a campaign has to notice a mutant.
	mutantSeeds = 30_000
	// mutantLines is how many lines a mutant may differ in from the present file,
	// its comment included. One that differs in more is of a file that has moved on.
	mutantLines = 24
)

func TestMutantsDifferFromThePresentFilesInFewLines(t *testing.T) {
	folders, err := os.ReadDir("mutants")
	if err != nil || len(folders) != len(mutated) {
		t.Fatalf("mutants has %d folders (%v), %d are known", len(folders), err, len(mutated))
	}
	for name, file := range mutated {
		present, mutant := read(t, filepath.Join(root, file)), read(t, overlay(name, file))
		if !strings.HasPrefix(mutant, "// Mutant: ") {
			t.Errorf("%s does not say what it is", name)
		}
		if n := differing(strings.Split(present, "\n"), strings.Split(mutant, "\n")); n > mutantLines || n < 3 {
			t.Errorf("%s differs from %s in %d lines: make it anew from the present file", name, file, n)
		}
	}
}

func TestMutantsAreNoticed(t *testing.T) {
	if *mutants == "" {
		t.Skip("it takes a minute or two: make mutants")
	}
	if _, known := mutated[*mutants]; !known && *mutants != "all" {
		t.Fatalf("there is no mutant %q; their names are the folders of internal/sim/mutants", *mutants)
	}
	for name, file := range mutated {
		if *mutants != "all" && *mutants != name {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one is built while another one runs
			binary := buildMutant(t, name, file)
			begun := time.Now()
			output, err := exec.CommandContext(t.Context(), binary, "-test.run", "^TestCampaign$", "-seeds", strconv.Itoa(mutantSeeds)).CombinedOutput()
			found := noticed.FindSubmatch(output)
			if err == nil || found == nil {
				t.Fatalf("no seed of %d notices it:\n%s", mutantSeeds, output)
			}
			fmt.Printf("%-30s after %s seeds, %5.1fs: %s\n", name, found[1], time.Since(begun).Seconds(), found[2])
		})
	}
}

var noticed = regexp.MustCompile(`after (\d+) seeds: (.*)`)

// root is the module's, as seen from the package's folder.
const root = "../.."

func overlay(name, file string) string {
	return filepath.Join("mutants", name, filepath.Base(file)+".overlay")
}

// buildMutant builds this test with a mutant in the place of a file, without the
// assertions of the cores: what notices it has to be the simulator.
func buildMutant(t *testing.T, name, file string) string {
	t.Helper()
	absolute := func(path string) string {
		a, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	content, err := json.Marshal(map[string]map[string]string{
		"Replace": {absolute(filepath.Join(root, file)): absolute(overlay(name, file))},
	})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	list, binary := filepath.Join(folder, "overlay.json"), filepath.Join(folder, "sim.test")
	if err := os.WriteFile(list, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", list, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, output)
	}
	return binary
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// differing returns how many lines are only in one of two texts.
func differing(a, b []string) int {
	common := make([]int, len(b)+1) // lines of the longest common part of what was seen of a, and of b up to there
	for _, line := range a {
		diagonal := 0
		for i := range b {
			above := common[i+1]
			if line == b[i] {
				common[i+1] = diagonal + 1
			} else {
				common[i+1] = max(above, common[i])
			}
			diagonal = above
		}
	}
	return len(a) + len(b) - 2*common[len(b)]
}
