package segment

import (
	"testing"

	"laneway.dev/pkg/protocol"
)

// BenchmarkBuild builds segments of 64 MiB: 65,536 entries of one batch of 1 KiB each.
func BenchmarkBuild(b *testing.B) {
	for _, codec := range []protocol.Compression{protocol.CompressionNone, protocol.CompressionS2, protocol.CompressionZstd} {
		b.Run(string(codec), func(b *testing.B) {
			log := logOf(65536)
			b.SetBytes(65536 << 10)
			b.ReportAllocs()
			for b.Loop() {
				build := NewBuilder(key, partition, codec)
				for i := range log {
					if err := build.Add(log[i].LoggedEntry, log[i].frames); err != nil {
						b.Fatal(err)
					}
				}
				if _, _, err := build.Finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead parses the footer and one page of such a segment.
func BenchmarkRead(b *testing.B) {
	object, _ := build(b, "", logOf(65536))
	b.Run("tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			open(b, object)
		}
	})
	b.Run("page", func(b *testing.B) {
		f := open(b, object)
		b.SetBytes(f.Pages[0].Length)
		b.ReportAllocs()
		for b.Loop() {
			page(b, f, 0, object)
		}
	})
}

func logOf(entries int) []logged {
	s, content := from(1, 0), frame(1<<10)
	for range entries {
		s.add(content)
	}
	return s.entries
}
