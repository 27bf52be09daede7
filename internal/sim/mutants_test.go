package sim

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"laneway.dev/internal/sim/mutants"
)

var mutant = flag.String("mutants", "", "run these mutants: all, or one by its name")

// mutantSeeds is how many seeds a campaign has to notice a mutant.
const mutantSeeds = 30_000

func TestMutantsAreNoticed(t *testing.T) {
	if *mutant == "" {
		t.Skip("it takes a minute or two: make mutants")
	}
	all, err := mutants.All()
	if *mutant != "all" {
		var one mutants.Mutant
		one, err = mutants.Named(*mutant)
		all = []mutants.Mutant{one}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel() // one is built while another one runs
			binary := buildMutant(t, m)
			begun := time.Now()
			output, err := exec.CommandContext(t.Context(), binary, "-test.run", "^TestCampaign$", "-seeds", strconv.Itoa(mutantSeeds)).CombinedOutput()
			found := noticed.FindSubmatch(output)
			if err == nil || found == nil {
				t.Fatalf("no seed of %d notices it:\n%s", mutantSeeds, output)
			}
			fmt.Printf("%-30s after %s seeds, %5.1fs: %s\n", m.Name, found[1], time.Since(begun).Seconds(), found[2])
		})
	}
}

var noticed = regexp.MustCompile(`after (\d+) seeds: (.*)`)

// root is the module's, as seen from the package's folder.
const root = "../.."

// buildMutant builds this test with a mutant in the place of a file, without the
// assertions of the cores: what notices it has to be the simulator.
func buildMutant(t *testing.T, m mutants.Mutant) string {
	t.Helper()
	folder := t.TempDir()
	overlay, err := m.Overlay(root, folder)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "sim.test")
	if output, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, output)
	}
	return binary
}
