package mutants

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Variable is the environment variable that selects one of the mutants of a build with many.
const Variable = "LANEWAY_MUTANT"

// Together puts many mutants into one build, because a mutant spends most of its time on compiling and
// linking the packages that depend on it. Each function that a mutant changes starts with an if
// statement on [Variable], which contains the changed body. Without the variable the build has no defect.
//
// It returns the path of a file for go's flag -overlay, and the mutants that the build does not
// have: those that change more than the bodies of functions, or functions with labels.
func Together(some []Mutant, root, folder string) (overlay string, alone []Mutant, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return "", nil, err
	}
	guarded := make(map[string]*guards) // by the file
	names := make(map[string][]string)  // by the folder of a package
	packages := make(map[string]string)
	for _, m := range some {
		g := guarded[m.File]
		if g == nil {
			if g, err = readGuards(filepath.Join(root, filepath.FromSlash(m.File))); err != nil {
				return "", nil, err
			}
			guarded[m.File] = g
		}
		defect, err := m.Apply(g.source)
		if err != nil {
			return "", nil, err
		}
		if !g.add(m.Name, defect) {
			alone = append(alone, m)
			continue
		}
		dir := filepath.Dir(filepath.Join(root, filepath.FromSlash(m.File)))
		names[dir], packages[dir] = append(names[dir], m.Name), g.syntax.Name.Name
	}
	replace := make(map[string]string)
	write := func(file, content string) error {
		replacement := filepath.Join(folder, fmt.Sprintf("together%d.go.overlay", len(replace)))
		replace[file] = replacement
		return os.WriteFile(replacement, []byte(content), 0o600)
	}
	for file, g := range guarded {
		if err := write(filepath.Join(root, filepath.FromSlash(file)), g.text()); err != nil {
			return "", nil, err
		}
	}
	for dir, some := range names {
		var text strings.Builder
		fmt.Fprintf(&text, "package %s\n\nimport \"os\"\n\n", packages[dir])
		for _, name := range some {
			fmt.Fprintf(&text, "var %s = os.Getenv(%q) == %q\n", switchOf(name), Variable, name)
		}
		if err := write(filepath.Join(dir, "mutants_together.go"), text.String()); err != nil {
			return "", nil, err
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", nil, err
	}
	overlay = filepath.Join(folder, "together.json")
	return overlay, alone, os.WriteFile(overlay, list, 0o600)
}

// switchOf returns the name of the variable that is true if a mutant is selected.
func switchOf(mutant string) string { return "mutant_" + mutant }

// guards are the mutants of one file.
type guards struct {
	source string
	syntax *ast.File
	bodies map[int]string // changed bodies with their conditions, by where the body of the function begins
}

func readGuards(file string) (*guards, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	g := &guards{source: string(content), bodies: make(map[int]string)}
	g.syntax, err = parseGo(g.source)
	return g, err
}

func parseGo(source string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
}

// between returns the source of a part of a file. A set with one file begins at position 1.
func between(source string, from, to token.Pos) string { return source[from-1 : to-1] }

// add adds a mutant, and reports whether the build can contain it.
func (g *guards) add(name, defect string) bool {
	syntax, err := parseGo(defect)
	if err != nil || len(syntax.Decls) != len(g.syntax.Decls) {
		return false
	}
	changed := make(map[int]string)
	for i, decl := range g.syntax.Decls {
		mutated := syntax.Decls[i]
		before, after := between(g.source, decl.Pos(), decl.End()), between(defect, mutated.Pos(), mutated.End())
		if before == after {
			continue
		}
		was, ok := decl.(*ast.FuncDecl)
		is, alsoOK := mutated.(*ast.FuncDecl)
		if !ok || !alsoOK || was.Body == nil || is.Body == nil || labeled(was) || labeled(is) ||
			between(g.source, was.Pos(), was.Body.Lbrace) != between(defect, is.Pos(), is.Body.Lbrace) {
			return false
		}
		body := fmt.Sprintf("\nif %s {%s\n", switchOf(name), between(defect, is.Body.Lbrace+1, is.Body.Rbrace))
		if is.Type.Results == nil {
			body += "return\n"
		}
		changed[int(was.Body.Lbrace)] = body + "}\n"
	}
	for at, body := range changed {
		g.bodies[at] += body
	}
	return true
}

// labeled reports whether a function has labels. Its body cannot be copied, because a label may occur
// only once in a function.
func labeled(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		_, is := n.(*ast.LabeledStmt)
		found = found || is
		return true
	})
	return found
}

// text returns the file with the bodies of all mutants.
func (g *guards) text() string {
	var text strings.Builder
	from := 0
	starts := make([]int, 0, len(g.bodies))
	for at := range g.bodies {
		starts = append(starts, at)
	}
	slices.Sort(starts)
	for _, at := range starts {
		text.WriteString(g.source[from:at])
		text.WriteString(g.bodies[at])
		from = at
	}
	return text.String() + g.source[from:]
}
