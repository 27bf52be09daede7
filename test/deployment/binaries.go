package deployment

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/machine"
	"laneway.dev/test/s3server"
	"laneway.dev/test/sim/mutants"
)

// buildTimeout bounds the making of the binaries.
const buildTimeout = 15 * time.Minute

// Build makes the binaries that deployments are made of, if they are not fresh:
// what is shipped, the NATS server and command line, and an S3 server, of the pinned versions.
func Build() error {
	root, err := machine.Root()
	if err != nil {
		return err
	}
	return run(root, nil, "make", "build", "bin/nats", "bin/nats-server", "bin/versitygw")
}

// Overlay writes the file for go's flag -overlay that puts a mutant in the place of a
// file, and returns its path.
func Overlay(t testing.TB, mutant string) string {
	t.Helper()
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	m, err := mutants.Named(mutant)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := m.Overlay(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return overlay
}

// BuildMutant builds laneway as it is shipped, but with a defect, and returns the binary's
// path. It is linked once: go leaves a binary alone that is up to date.
func BuildMutant(t testing.TB, mutant string) string {
	t.Helper()
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(root, "bin", "laneway-"+mutant)
	shipped := []string{"GOWORK=off", "CGO_ENABLED=0"}
	if err := run(root, shipped, "go", "build", "-trimpath", "-overlay", Overlay(t, mutant), "-o", binary, "./cmd/laneway"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// run runs a tool of the build in a folder.
func run(folder string, env []string, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	command.Env = append(environment("MAKE", "MFLAGS"), env...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// environment returns that of this process without the variables that begin with one of the
// prefixes. Those for S3 are what the S3 server of tests needs, and nothing else.
func environment(without ...string) []string {
	without = append(without, "AWS_")
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
	return append(kept, s3server.Environ()...)
}
