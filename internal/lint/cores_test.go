package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// cores are the packages that the simulator runs as they are, with all packages below them.
var cores = []string{"services/*/core", "internal/core/*", "pkg/ticketing", "pkg/delivery"}

// sources returns the files of the cores that are not tests, from the root of the repository.
func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range cores {
		folders, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
				if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
					files = append(files, path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

// A core that starts a goroutine or waits for a channel behaves differently each time it
// runs. The simulator could then neither control its schedule nor repeat a failure.
func TestCoresHaveNeitherGoroutinesNorChannels(t *testing.T) {
	files := token.NewFileSet()
	for _, name := range sources(t) {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range concurrency(file) {
			t.Errorf("%s: a core has no goroutines and no channels", files.Position(at))
		}
	}
}

// concurrency returns where a file starts goroutines or uses channels.
func concurrency(file *ast.File) (all []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			all = append(all, n.Pos())
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				all = append(all, n.Pos())
			}
		}
		return true
	})
	return all
}

func TestConcurrencyIsFound(t *testing.T) {
	for _, statement := range []string{"go f()", "select {}", "c <- 1", "<-c", "var c chan int"} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() { "+statement+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(concurrency(file)) != 1 {
			t.Errorf("%q is not found", statement)
		}
	}
}

// Depguard sees what a core imports itself; this sees what that brings along.
func TestCoresBringAlongNoConnectionLoggerOrTelemetry(t *testing.T) {
	var packages []string
	for _, file := range sources(t) {
		if folder := filepath.Dir(file); !slices.Contains(packages, folder) {
			packages = append(packages, folder)
		}
	}
	output, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, packages...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, output)
	}
	for path := range strings.Lines(string(output)) {
		for _, heavy := range []string{"github.com/nats-io/", "go.uber.org/zap", "go.opentelemetry.io/"} {
			if strings.HasPrefix(path, heavy) {
				t.Errorf("a core depends on %s", path)
			}
		}
	}
}
