package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
)

// damagedRange are the offsets of a partition that cannot be read after some damage to a segment.
type damagedRange struct {
	key      string
	from, to int64 // to is not included
}

// damageFrame alters a byte of the frame of a batch in the middle of a segment.
func (f *fixture) damageFrame(t *testing.T, s segment.Summary) damagedRange {
	t.Helper()
	path, content, footer := f.segment(t, s)
	page := footer.Pages[0]
	entries, err := footer.ParsePage(0, content[page.Position:page.Position+page.Length])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries[len(entries)/2:] {
		offset := e.Entry.BaseOffset
		for _, b := range e.Entry.Batches {
			flip(t, path, content, b.Extent.Offset+b.Extent.Length/2)
			return damagedRange{s.Key, offset, offset + int64(b.Records)}
		}
	}
	t.Fatalf("the segment %s has no batches", s.Key)
	return damagedRange{}
}

// damagePage alters a byte of the first page of a segment.
func (f *fixture) damagePage(t *testing.T, s segment.Summary) damagedRange {
	t.Helper()
	path, content, footer := f.segment(t, s)
	page := footer.Pages[0]
	flip(t, path, content, page.Position+page.Length/2)
	end := s.End
	if len(footer.Pages) > 1 {
		end = footer.Pages[1].Base
	}
	return damagedRange{s.Key, s.Base, end}
}

// deleteSegment removes the object of a segment.
func (f *fixture) deleteSegment(t *testing.T, s segment.Summary) damagedRange {
	t.Helper()
	path, _, _ := f.segment(t, s)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return damagedRange{s.Key, s.Base, s.End}
}

func (f *fixture) segment(t *testing.T, s segment.Summary) (path string, content []byte, footer *segment.Footer) {
	t.Helper()
	path = filepath.Join(f.Objects(), filepath.FromSlash(s.Key))
	content, err := os.ReadFile(path)
	if err == nil {
		footer, _, err = segment.ParseTail(s.Key, content, int64(len(content)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, content, footer
}

func flip(t *testing.T, path string, content []byte, at int64) {
	t.Helper()
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSegmentCostsOnlyWhatItHeld(t *testing.T) {
	t.Parallel()
	const largest, records = 256, 2*256 - 4
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", "1s"}})
	p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{BatchRecords: 8})
	value := func(n int64) string { return fmt.Sprintf("%03d%s", n, strings.Repeat(".", 100)) }
	var state partitionlog.State
	// Each part is half as large as the one before, so that their segments are not merged. It has few
	// batches, so that all of it is there before the first of them is old enough to be archived.
	n := int64(0)
	for part := largest; n < records; part /= 2 {
		for range part {
			if _, err := p.Publish(ctx, client.ProducerRecord{Value: []byte(value(n))}); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		state = f.awaitArchived(ctx, t, f.partition)
	}
	m := f.manifest(t, state.History)
	if len(m.Segments) < 6 {
		t.Fatalf("the records are in %d segments, want 7", len(m.Segments))
	}
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
	damages := []damagedRange{f.damageFrame(t, m.Segments[1]), f.damagePage(t, m.Segments[3]), f.deleteSegment(t, m.Segments[5])}
	f.forget(ctx) // what it has in memory is not damaged

	var whole, readable []string
	for n := range int64(records) {
		if n < damages[0].from {
			whole = append(whole, value(n))
		}
		if !slices.ContainsFunc(damages, func(d damagedRange) bool { return d.from <= n && n < d.to }) {
			readable = append(readable, value(n))
		}
	}
	code, lines, said := consume(t, f.Laneway(ctx, "consume", "orders"))
	if code != 1 || !slices.Equal(lines, whole) || !strings.Contains(said, "CORRUPT") || !strings.Contains(said, fmt.Sprintf("the next one is at %d", damages[0].to)) {
		t.Errorf("consume ends with %d after %d lines, want %d: %s", code, len(lines), len(whole), said)
	}
	code, lines, said = consume(t, f.Laneway(ctx, "consume", "orders", "--skip-corrupt"))
	if code != 0 || !slices.Equal(lines, readable) {
		t.Errorf("consume --skip-corrupt ends with %d after %d lines, want %d: %s", code, len(lines), len(readable), said)
	}
	words := []string{"orders/0, offsets"}
	for _, d := range damages {
		words = append(words, d.key)
		if want := fmt.Sprintf("continuing at offset %d", d.to); !strings.Contains(said, want) {
			t.Errorf("consume --skip-corrupt does not say %q of %+v: %s", want, d, said)
		}
	}
	report := f.verifyStore(ctx, t, 1, words, "--nats", f.URL())
	if len(report.Logs.Lost) != 1 || len(report.Logs.Lost[0].Offsets) != len(damages) {
		t.Fatalf("the report says of the logs %+v", report.Logs)
	}
	for i, lost := range report.Logs.Lost[0].Offsets {
		if lost.From != damages[i].from || *lost.To != damages[i].to {
			t.Errorf("the report says that %+v are lost, want %+v", lost, damages[i])
		}
	}
}
