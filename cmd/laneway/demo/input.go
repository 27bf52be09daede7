package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// sampleBytes is about how much the demo sends if no file is given.
const sampleBytes = 8 << 20

// input is what the demo sends.
type input struct {
	name string // for the report
	data []byte
}

// findInput returns the contents of the file. If none is given, it returns real text
// from this machine: the source of Go's standard library or, if it is not found, the
// printable text in the laneway binary.
func findInput(ctx context.Context, file string) (input, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		return input{name: file, data: data}, err
	}
	for _, root := range goRoots(ctx) {
		source := filepath.Join(root, "src")
		if data, err := readSource(source); err == nil && len(data) > 0 {
			return input{name: "Go source under " + source, data: data}, nil
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return input{}, err
	}
	data, err := os.ReadFile(executable)
	if err != nil {
		return input{}, err
	}
	return input{name: "the text in " + executable, data: printable(data)}, nil
}

// goRoots returns the folders in which Go may be installed.
func goRoots(ctx context.Context) []string {
	roots := []string{os.Getenv("GOROOT")}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if said, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		roots = append(roots, strings.TrimSpace(string(said)))
	}
	found := roots[:0]
	for _, root := range append(roots, "/usr/local/go", "/usr/lib/go") {
		if root != "" {
			found = append(found, root)
		}
	}
	return found
}

// errEnough ends the walk through the source files.
var errEnough = errors.New("enough")

// readSource returns the contents of the Go files below a folder, up to about
// sampleBytes.
func readSource(folder string) ([]byte, error) {
	var all []byte
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, content...)
		if len(all) >= sampleBytes {
			return errEnough
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading Go source: %w", err)
	}
	return all, nil
}

// printable returns the runs of at least eight printable characters, a line each, up to
// about sampleBytes.
func printable(data []byte) []byte {
	var lines []byte
	for len(data) > 0 && len(lines) < sampleBytes {
		end := bytes.IndexFunc(data, func(r rune) bool { return r < ' ' || r >= 0x7f })
		if end < 0 {
			end = len(data)
		}
		if end >= 8 {
			lines = append(append(lines, data[:end]...), '\n')
		}
		data = data[min(end+1, len(data)):]
	}
	return lines
}

// parts cuts the input after line feeds into at most n parts of about equal size.
func (i input) parts(n int) [][]byte {
	var parts [][]byte
	rest := i.data
	for left := n; len(rest) > 0; left-- {
		cut := len(rest)
		if left > 1 {
			if end := bytes.IndexByte(rest[len(rest)/left:], '\n'); end >= 0 {
				cut = len(rest)/left + end + 1
			}
		}
		parts = append(parts, rest[:cut])
		rest = rest[cut:]
	}
	return parts
}
