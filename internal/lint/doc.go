// Package lint has tests of rules that no linter checks.
package lint
