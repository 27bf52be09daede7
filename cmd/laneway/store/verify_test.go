package store

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/internal/storecheck"
	"laneway.dev/internal/sweepstate"
)

func TestReportNamesWhatIsAffected(t *testing.T) {
	staged := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	report := &storecheck.Report{
		Store: storecheck.Store{Place: "file:///objects on host", ID: "S", Cluster: "C", Objects: 4, Bytes: 4096, Batches: 1, Records: 10},
		Logs: &storecheck.Logs{
			Topics: 1, Partitions: 1, Entries: 3, Batches: 3, Records: 30, Waiting: storecheck.Counted{Objects: 3, Bytes: 3072}, WaitingArchived: storecheck.Counted{Objects: 2, Bytes: 2048},
			Lost: []*storecheck.Lost{{Topic: "orders", Batches: 2, Records: 20, Offsets: []repair.Offsets{{From: 10, To: new(int64(30))}}}},
		},
		Damaged: []*storecheck.Object{
			{
				Key: "o/0000000000000001/A", Size: 1000, Staged: staged, Damage: objectstore.Payload, Reason: "at byte 100, length 50: CRC-32C is 1, should be 2", Referenced: true,
				Affects: []storecheck.Affected{{Topic: "orders", Batches: 1, Records: 10, Offsets: &repair.Offsets{From: 10, To: new(int64(20))}}},
			},
			{
				Key: "o/0000000000000001/B", Staged: staged, Damage: storecheck.Missing, Referenced: true,
				Affects: []storecheck.Affected{{Topic: "orders", Batches: 1, Records: 10, Offsets: &repair.Offsets{From: 20, To: new(int64(30))}}},
			},
			{Key: "o/0000000000000001/C", Size: 1000, Staged: staged, Damage: objectstore.Index, Reason: "at byte 900, length 44: checksum of the index is wrong", Referenced: true},
		},
		Unfinished: []*storecheck.Object{{Key: "o/0000000000000001/D", Size: 100, Staged: staged, Damage: objectstore.Torn}},
	}
	const want = `object store file:///objects on host
  store S of cluster C
  4 objects, 4.0 KiB; whole are 1 batch with 10 records
  ! o/0000000000000001/A, 1,000 bytes, staged 2026-11-28T01:02:03Z: damaged payload
      at byte 100, length 50: CRC-32C is 1, should be 2
      cannot be read: orders/0, offsets 10 to 19 (1 batch, 10 records)
  ! o/0000000000000001/B, staged 2026-11-28T01:02:03Z: missing
      cannot be read: orders/0, offsets 20 to 29 (1 batch, 10 records)
  ! o/0000000000000001/C, 1,000 bytes, staged 2026-11-28T01:02:03Z: damaged index
      at byte 900, length 44: checksum of the index is wrong
      its records can be read; the damaged part is for repairs only
  unfinished upload, to which no log refers: o/0000000000000001/D, 100 bytes, staged 2026-11-28T01:02:03Z

logs of 1 topic, 1 partition: 3 entries refer to 3 batches with 30 records
  ! orders/0: 2 batches with 20 records cannot be read: offsets 10 to 29
  waiting: 3 objects, 3.0 KiB, that no log needs, so that sweeps delete them; of these, with batches that are archived: 2 objects, 2.0 KiB
`
	if got := describe(report); got != want {
		t.Errorf("report is:\n%s\nwant:\n%s", got, want)
	}
	if err := conclude(report); err == nil || !strings.Contains(err.Error(), "3 objects") {
		t.Errorf("error is %v, want one that counts the damaged objects", err)
	}
}

func TestReportWithoutDamageIsNoError(t *testing.T) {
	report := &storecheck.Report{Store: storecheck.Store{ID: "S", Cluster: "C"}}
	if err := conclude(report); err != nil || !strings.Contains(describe(report), "nothing is damaged") {
		t.Errorf("error is %v, report is:\n%s", err, describe(report))
	}
}

func TestUsageIsATable(t *testing.T) {
	usage := &storecheck.Usage{
		Place: "s3://bucket/prefix", Objects: 9, Bytes: 14 << 20, LiveBytes: 7 << 20, OtherBytes: 1 << 20,
		Waiting:        storecheck.Counted{Objects: 5, Bytes: 6 << 20},
		MissingObjects: 1, Problems: []string{"the log of orders/1 is lost"},
		Alarm: "log older", Sweeps: &sweepstate.Ended{Since: time.Unix(1764374401, 0).UTC(), Reason: "the logs are older than the store: sweep 7"},
		Topics: []storecheck.TopicUsage{
			{Topic: "clicks", Partitions: 1, Batches: 100, Records: 1000, Bytes: 1 << 20, InlineBytes: 3 << 10},
			{Topic: "orders", Partitions: 2, Batches: 5, Records: 5, Bytes: 2 << 20, Segments: 1, SegmentBytes: 4 << 20, ArchivedRecords: 9000, Waiting: storecheck.Counted{Objects: 1, Bytes: 1 << 20}},
		},
	}
	const want = `object store s3://bucket/prefix
  ! the log of orders/1 is lost
  ! log older: nothing is deleted, because the logs and the store are not from the same time; see "Backups" in docs/operation.md
  ! no sweep was complete since 2025-11-29T00:00:01Z: the logs are older than the store: sweep 7
  ! logs refer to 1 object that the store does not have
  stored   14 MiB   9 objects
  live     7.0 MiB  batches and segments that logs refer to
  other    1.0 MiB  heads, indexes and unused batches in the same objects; manifests
  waiting  6.0 MiB  5 objects that no log needs, so that sweeps delete them

TOPIC   PARTITIONS  BATCHES  RECORDS  BYTES    IN LOG   SEGMENTS  ARCHIVED RECORDS  SEGMENT BYTES  WAITING BYTES
clicks  1           100      1000     1.0 MiB  3.0 KiB  0         0                 0 B            0 B
orders  2           5        5        2.0 MiB  0 B      1         9000              4.0 MiB        1.0 MiB
`
	if got := describeUsage(usage); got != want {
		t.Errorf("usage is:\n%s\nwant:\n%s", got, want)
	}
	if err := incomplete(usage); err == nil || incomplete(&storecheck.Usage{}) != nil {
		t.Errorf("error is %v; a usage without problems must have none", err)
	}
}
