package mutants

import (
	"strings"
	"testing"
)

const manyFunctions = `package p

import "fmt"

const limit = 3

func add(a, b int) int {
	return a + b
}

func say(a int) {
	fmt.Println(a)
}

func search(all []int) int {
outer:
	for i := range all {
		for range all {
			continue outer
		}
		return i
	}
	return limit
}
`

func TestMutantsOfBodiesShareABuild(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		shares         bool
	}{
		{"body", "return a + b", "return a - b", true},
		{"second_body", "return a + b", "return a * b", true},
		{"no_results", "fmt.Println(a)", "if a > 0 {\n\t\tfmt.Println(a)\n\t}", true},
		{"two_functions", "return a + b\n}\n\nfunc say(a int) {\n\tfmt.Println(a)", "return b\n}\n\nfunc say(a int) {\n\tfmt.Print(a)", true},
		{"constant", "limit = 3", "limit = 4", false},
		{"signature", "func say(a int)", "func say(a int32)", false},
		{"label", "return i", "return i + 1", false},
		{"another_function", "func say", "func more() {}\n\nfunc say", false},
	} {
		syntax, err := parseGo(manyFunctions)
		if err != nil {
			t.Fatal(err)
		}
		g := &guards{source: manyFunctions, syntax: syntax, bodies: make(map[int]string)}
		defect := strings.Replace(manyFunctions, c.old, c.new, 1)
		if got := g.add(c.name, defect); got != c.shares {
			t.Errorf("%s: shares a build: %t, want %t", c.name, got, c.shares)
		}
		if !c.shares && g.text() != manyFunctions {
			t.Errorf("%s does not share a build, and changes it:\n%s", c.name, g.text())
		}
	}
}

func TestBodiesOfMutantsAreConditional(t *testing.T) {
	syntax, err := parseGo(manyFunctions)
	if err != nil {
		t.Fatal(err)
	}
	g := &guards{source: manyFunctions, syntax: syntax, bodies: make(map[int]string)}
	g.add("minus", strings.Replace(manyFunctions, "a + b", "a - b", 1))
	g.add("silent", strings.Replace(manyFunctions, "fmt.Println(a)\n", "\n", 1))
	want := strings.NewReplacer(
		"int {\n\treturn a + b", "int {\nif mutant_minus {\n\treturn a - b\n\n}\n\n\treturn a + b",
		"{\n\tfmt", "{\nif mutant_silent {\n\t\n\nreturn\n}\n\n\tfmt",
	).Replace(manyFunctions)
	if got := g.text(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := parseGo(g.text()); err != nil {
		t.Error(err)
	}
}
