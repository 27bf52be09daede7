package topic

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// truncateTimeout bounds the command. It waits for archivers.
const truncateTimeout = 2 * time.Minute

// Truncate is laneway topic truncate.
type Truncate struct {
	topicName
	cli.ServerFlag
	Partition int    `required:"" placeholder:"N" help:"The partition whose records are dropped."`
	Before    string `required:"" placeholder:"OFFSET|TIME" help:"Drop the records below this offset, or those that were committed before this time (RFC 3339)."`
	JSON      bool   `name:"json" help:"Print a JSON object."`

	offset int64
	at     *time.Time // instead of the offset
}

// Help implements kong.HelpProvider.
func (*Truncate) Help() string {
	return `The records cannot be read after the command has ended. This cannot be undone. Offsets never change: the next record gets
the same offset as without truncation. A time more than a minute in the future is rejected. The command may be repeated. Records that are not archived yet are archived first,
so it needs archiving: see --archive-bytes of laneway serve. Interrupting the command, or an error while it
waits, does not withdraw the request: the records are dropped when they are archived, unless another owner takes over the log first. Space is freed only by whole segments.

Examples:

    laneway topic truncate orders --partition 0 --before 100
    laneway topic truncate orders --partition 0 --before 2026-11-01T00:00:00Z`
}

// Validate implements kong's check of a command.
func (c *Truncate) Validate() (err error) {
	if c.Partition < 0 || c.Partition >= protocol.MaxPartitions {
		return fmt.Errorf("--partition is %d, allowed are 0 to %d", c.Partition, protocol.MaxPartitions-1)
	}
	if c.offset, err = strconv.ParseInt(c.Before, 10, 64); err == nil && c.offset >= 0 {
		return nil
	}
	at, err := time.Parse(time.RFC3339, c.Before)
	if err != nil {
		return fmt.Errorf("--before is %q, which is neither an offset nor a time such as 2026-11-01T00:00:00Z", c.Before)
	}
	c.at = &at
	return nil
}

// Run truncates the partition.
func (c *Truncate) Run(a *cli.App) error {
	return c.AdministerFor(a, truncateTimeout, func(ctx context.Context, laneway *client.Client) (err error) {
		number, before := int32(c.Partition), c.offset
		if c.at != nil {
			if before, err = laneway.Admin().OffsetAt(ctx, c.Name, number, *c.at); err != nil {
				return err
			}
		}
		waiting := cli.NewNotice(a.Stderr, fmt.Sprintf(
			"laneway: waiting until the records below offset %d are archived; the request cannot be withdrawn, not even by an interrupt", before))
		start, err := laneway.Admin().TruncateTopic(ctx, c.Name, number, before)
		waiting.End()
		if err != nil {
			return stays(err)
		}
		if c.JSON {
			return cli.WriteJSON(a.Stdout, protocol.TopicTruncateResponse{Partition: number, StartOffset: start})
		}
		return cli.Say(a.Stdout, "partition %d of topic %s starts at offset %d\n", number, c.Name, start)
	})
}

// stays adds the advice to an error that is not a refusal that the request stays in force.
func stays(err error) error {
	if known, ok := errors.AsType[*protocol.Error](err); ok && known.Code != protocol.CodeUnavailable {
		return err
	}
	return cli.Advise(err, "start a replicator and an archiver, and repeat the command, or see: laneway topic info; "+
		"the request stays in force as long as the replicator that has received it owns the log: the records are dropped when they are archived")
}
