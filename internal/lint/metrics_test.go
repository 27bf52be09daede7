package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The Prometheus exporter appends "_ratio" to the name of a gauge whose unit is "1". An alert for the
// documented name would then never fire.
func TestMetricsHaveUnitsThatKeepTheirNames(t *testing.T) {
	for _, folder := range []string{"cmd", "internal", "pkg", "services"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			for _, at := range ratios(file) {
				t.Errorf("%s: use a unit such as {partition} instead of 1", files.Position(at))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ratios returns where a file gives a metric the unit "1", in a field Unit or by WithUnit.
func ratios(file *ast.File) (all []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Unit" && isOne(n.Value) {
				all = append(all, n.Pos())
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "WithUnit" && len(n.Args) == 1 && isOne(n.Args[0]) {
				all = append(all, n.Pos())
			}
		}
		return true
	})
	return all
}

func isOne(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && literal.Value == `"1"`
}
