package main

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

// demoBytes is about how much the demo sends if it is given no file.
const demoBytes = 8 << 20

// demoInput is what the demo sends, with a name for people.
type demoInput struct {
	name string
	data []byte
}

// findInput returns the file, or real text that every machine has: the source
// of Go's library if it is installed, else the text in this very program.
func findInput(ctx context.Context, file string) (demoInput, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		return demoInput{name: file, data: data}, err
	}
	for _, root := range goRoots(ctx) {
		source := filepath.Join(root, "src")
		if data, err := readSource(source); err == nil && len(data) > 0 {
			return demoInput{name: "Go source under " + source, data: data}, nil
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return demoInput{}, err
	}
	data, err := os.ReadFile(executable)
	if err != nil {
		return demoInput{}, err
	}
	return demoInput{name: "the text in " + executable, data: printable(data)}, nil
}

// goRoots returns where Go may be installed.
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

// readSource returns the Go files below a folder, one after the other, until
// there are demoBytes.
func readSource(folder string) ([]byte, error) {
	var all []byte
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, content...)
		if len(all) >= demoBytes {
			return errEnough
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading Go source: %w", err)
	}
	return all, nil
}

// printable returns the runs of at least eight printable characters, a line
// each, until there are demoBytes.
func printable(data []byte) []byte {
	var lines []byte
	for len(data) > 0 && len(lines) < demoBytes {
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

// parts cuts the input at line ends into about equal parts, at most n.
func (d demoInput) parts(n int) [][]byte {
	var parts [][]byte
	rest := d.data
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
