package mutants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPatchesApplyToThePresentFiles(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("there are no mutants")
	}
	for _, m := range all {
		content, err := os.ReadFile(filepath.Join("../../..", m.File))
		if err != nil {
			t.Fatal(err)
		}
		defect, err := m.Apply(string(content))
		if err != nil {
			t.Error(err)
		} else if defect == string(content) {
			t.Errorf("mutant %s changes nothing", m.Name)
		}
	}
}

func TestPatchThatDoesNotApplyIsAnError(t *testing.T) {
	m, err := parse("Mutant: wrong.\n\n--- a/x.go\n+++ b/x.go\n@@\n one\n-two\n+three\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Apply("zero\none\ntwo\n"); err != nil || got != "zero\none\nthree\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, file := range []string{"one\nfour\n", "one\ntwo\none\ntwo\n"} {
		if _, err := m.Apply(file); err == nil || !strings.Contains(err.Error(), "must have them once") {
			t.Errorf("applied to %q: %v", file, err)
		}
	}
}

func TestTextThatIsNoPatchIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "Mutant: without a diff.\n", "\n\n--- a/x\n+++ b/x\n@@\n-a\n", "Mutant: no file.\n\n--- a/x\n@@\n-a\n", "Mutant: bad line.\n\n--- a/x\n+++ b/x\n@@\n?a\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken for a patch", text)
		}
	}
	if _, err := Named("none"); err == nil {
		t.Error("a mutant that is not there was found")
	}
}
