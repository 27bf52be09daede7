package core

import (
	"fmt"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
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

// Drops reports whether a job only drops segments, and archives nothing.
func Drops(job messages.Archive) bool { return job.Base.Archived() && job.To == job.Base.End }

// Oldest returns the oldest segment of the manifest m of a job, for Seal, if a list has it. base is the
// manifest that the job builds on. A list is read unless the beginning of the manifest has not changed.
func Oldest(job messages.Archive, base, m *manifest.Manifest, read func(key string) (*manifest.List, error)) (s segment.Summary, err error) {
	switch {
	case len(m.Lists) == 0:
		return s, nil
	case len(base.Lists) > 0 && base.Lists[0].Key == m.Lists[0].Key && job.Base.OldestBytes > 0:
		s.FirstTime, s.LastTime, s.Size = job.Base.Oldest, job.Base.Oldest, job.Base.OldestBytes
		return s, nil
	}
	first, err := read(m.Lists[0].Key)
	if err != nil {
		return s, err
	}
	return first.Segments[0], nil
}

// maxWaiting bounds the keys that wait for their deletion in one manifest, in case the store deletes
// nothing. Objects whose keys are left out are unnamed from then on, and a sweep deletes them.
const maxWaiting = 4096

// Leave makes base the beginning of the next manifest. Its own key waits for its deletion from then
// on, and of those that have waited only left, whose deletion failed.
func Leave(base *manifest.Manifest, left []string) {
	base.Waiting = left
	if base.Key != "" {
		base.Waiting = append(base.Waiting, base.Key)
	}
	base.Key = ""
}

// Seal gives the manifest of a job its key, and returns its stored form and its History. oldest is
// the oldest segment if a list has it; else it is not used.
func Seal(m *manifest.Manifest, key string, oldest segment.Summary) ([]byte, messages.History) {
	m.Key = key
	m.Waiting = m.Waiting[max(0, len(m.Waiting)-maxWaiting):]
	content := manifest.Encode(m)
	h := m.History()
	h.Size = int64(len(content))
	if len(m.Lists) > 0 {
		h.Oldest, h.OldestBytes = manifest.Age(&oldest), oldest.Size
	}
	return content, h
}
