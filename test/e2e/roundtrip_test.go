package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

// goSources writes all Go files of the standard library, one behind the other,
// into a file and returns its path, size and sum. It is real text: 90 MB,
// millions of lines, many of them empty, and one of more than a megabyte.
func goSources(t *testing.T) (path string, size int64, digest string) {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "sources.txt")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(name string, entry fs.DirEntry, err error) error {
		// There is a folder that is named like a Go file.
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(name) != ".go" {
			return err
		}
		n, err := appendFile(io.MultiWriter(out, sum), name)
		size += n
		return err
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, size, hexOf(sum)
}

func appendFile(w io.Writer, name string) (int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return io.Copy(w, file)
}

func hexOf(sum hash.Hash) string { return fmt.Sprintf("%x", sum.Sum(nil)) }

func TestAllGoSourcesComeBackByteForByte(t *testing.T) {
	path, size, want := goSources(t)
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 3*time.Minute)
		d := deployment.Start(t, kind, deployment.Options{})
		d.Output(d.Laneway(ctx, "topic", "create", "sources"), nil)

		started := time.Now()
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		produced := d.Laneway(ctx, "produce", "sources")
		produced.Stdin = in
		summary, err := produced.CombinedOutput()
		if err != nil {
			t.Fatalf("produce: %v\n%s", err, summary)
		}
		t.Logf("produce: %s", bytes.TrimSpace(summary))
		between := time.Now()

		got, read := consumeSum(ctx, t, d)
		end := time.Now()
		if got != want || read != size {
			t.Errorf("%d bytes with sum %s came back of %d with %s", read, got, size, want)
		}
		rate := func(d time.Duration) float64 { return float64(size) / 1e6 / d.Seconds() }
		t.Logf("%.1f MB: in %.2f s, %.1f MB/s; out %.2f s, %.1f MB/s; together %.2f s", float64(size)/1e6,
			between.Sub(started).Seconds(), rate(between.Sub(started)), end.Sub(between).Seconds(), rate(end.Sub(between)), end.Sub(started).Seconds())
	})
}

// consumeSum returns the sum of all that consume prints, and its length.
func consumeSum(ctx context.Context, t *testing.T, d *deployment.Deployment) (digest string, size int64) {
	t.Helper()
	sum := sha256.New()
	counted := &counter{w: sum}
	var stderr bytes.Buffer
	consumed := d.Laneway(ctx, "consume", "sources", "--from", "earliest")
	consumed.Stdout, consumed.Stderr = counted, &stderr
	if err := consumed.Run(); err != nil {
		t.Fatalf("consume: %v\n%s", err, stderr.String())
	}
	return hexOf(sum), counted.n
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}
