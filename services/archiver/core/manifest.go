package core

import (
	"fmt"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/pkg/messages"
)

// Base returns the manifest that a job builds on: decoded is the one that its Base names, or nil
// if nothing of the log was archived before.
func Base(job messages.Archive, decoded *manifest.Manifest) (*manifest.Manifest, error) {
	if decoded == nil {
		m := manifest.New(job.Partition)
		m.Start, m.End = job.Base.Start, job.Base.End
		return &m, nil
	}
	m := decoded
	switch {
	case m.Partition.TopicID != job.Partition.TopicID || m.Partition.Number != job.Partition.Number:
		return nil, fmt.Errorf("the manifest %q is that of %s with topic id %d", job.Base.Manifest, m.Partition, m.Partition.TopicID)
	case m.End != job.Base.End || m.Start != job.Base.Start:
		return nil, fmt.Errorf("the manifest %q goes from offset %d to entry %d at offset %d, and the job says from %d to %d at %d",
			job.Base.Manifest, m.Start, m.End.Sequence, m.End.Offset, job.Base.Start, job.Base.End.Sequence, job.Base.End.Offset)
	}
	return m, nil
}
