package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docsCommand is a command of Laneway at the start of a line, as code blocks have it.
var docsCommand = regexp.MustCompile(`(?m)^laneway ([^|<>\n]*)`)

func TestCommandsInDocsParse(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range docsCommand.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := parse(t, strings.Fields(strings.ReplaceAll(command[1], "'", ""))...); err != nil {
				t.Errorf("%s: laneway %s: %v", page, command[1], err)
			}
		}
	}
	if found == 0 {
		t.Error("no page has a command")
	}
}
