package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPartsAreWholeLines(t *testing.T) {
	for _, text := range []string{
		"", "a", "a\n", "\n", "a\nb\nc\nd\ne\n", "a\nb\nc", strings.Repeat("x", 100) + "\na\nb\nc\n", strings.Repeat("line\n", 1000),
	} {
		in := input{data: []byte(text)}
		parts := in.parts(4)
		if got := bytes.Join(parts, nil); string(got) != text {
			t.Errorf("%.20q: the parts make %.20q", text, got)
		}
		for i, part := range parts {
			if len(part) == 0 || i < len(parts)-1 && part[len(part)-1] != '\n' {
				t.Errorf("%.20q: part %d is %.20q", text, i, part)
			}
		}
		if len(parts) > 4 {
			t.Errorf("%.20q: %d parts", text, len(parts))
		}
	}
}

func TestPrintableRuns(t *testing.T) {
	got := printable([]byte("\x00\x01short\x00long enough\xff\xfe\nanother run\x00last one"))
	if want := "long enough\nanother run\nlast one\n"; string(got) != want {
		t.Errorf("%q", got)
	}
}

func TestReadsSourceFilesOnly(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "not_a_file.go"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"b.go": "b\n", "a.go": "a\n", "c.txt": "c\n", "not_a_file.go/d.go": "d\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readSource(folder); err != nil || string(got) != "a\nb\nd\n" {
		t.Errorf("%q, %v", got, err)
	}
}
