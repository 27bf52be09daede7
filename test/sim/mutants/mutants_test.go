package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPatchesApplyToCurrentFiles(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("there are no mutants")
	}
	for _, m := range all {
		content, err := os.ReadFile(filepath.Join(root, m.File))
		if err != nil {
			t.Fatal(err)
		}
		defect, err := m.Apply(string(content))
		if err != nil {
			t.Error(err)
		} else if defect == string(content) {
			t.Errorf("mutant %s changes nothing", m.Name)
		}
		if m.Tests != nil && !hasTest(t, m) {
			t.Errorf("mutant %s: %s has no test that matches %q", m.Name, m.Package, m.Tests)
		}
	}
}

// hasTest reports whether the package has a test that is meant to notice the mutant.
func hasTest(t *testing.T, m Mutant) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, m.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range declaredTest.FindAllSubmatch(content, -1) {
			if m.Tests.Match(test[1]) {
				return true
			}
		}
	}
	return false
}

var declaredTest = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func TestPatchNamesWhatNoticesIt(t *testing.T) {
	const diff = "\n\n--- a/x.go\n+++ b/x.go\n@@\n-a\n+b\n"
	for head, want := range map[string]string{
		"Mutant: wrong.":                                      " <nil>",
		"Mutant: wrong.\nNoticed by: simulator":               " <nil>",
		"Mutant: wrong,\nvery.\nNoticed by: services/x TestA": "services/x TestA",
	} {
		m, err := parse(head + diff)
		if got := fmt.Sprint(m.Package, " ", m.Tests); err != nil || got != want {
			t.Errorf("%q is noticed by %q, %v; want %q", head, got, err, want)
		}
	}
	for _, by := range []string{"services/x", "services/x TestA TestB", "services/x Test("} {
		if _, err := parse("Mutant: wrong.\nNoticed by: " + by + diff); err == nil {
			t.Errorf("%q names what notices a mutant", by)
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
