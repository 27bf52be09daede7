package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
)

// maxResumable is how many lines an input may have to be resumed: the sequence of
// a line is its number, and sequences begin again after 2^31-1.
const maxResumable = math.MaxInt32

// producer returns the producer of the lines. One with a name needs a single
// partition, whose log tells by its end how many lines it has.
func (c *produceCommand) producer(ctx context.Context, laneway *client.Client, options client.ProducerOptions) (*client.Producer, error) {
	if c.Name != "" && c.Partition == cli.AllPartitions {
		topic, _, err := laneway.Admin().TopicInfo(ctx, c.Topic)
		if err != nil {
			return nil, err
		}
		if topic.Partitions > 1 {
			return nil, cli.Misuse("--name needs one partition to tell which lines are in the log, %s has %d: give --partition too",
				c.Topic, topic.Partitions)
		}
	}
	return laneway.Producer(ctx, c.Topic, options)
}

// lines returns the reader of the lines. A line that may still grow would be
// skipped by a later run, so it waits for its line feed.
func (c *produceCommand) lines(in io.Reader, limit int) *lineReader {
	lines := newLineReader(in, limit)
	if c.Name != "" {
		lines.last, lines.terminated = maxResumable, true
	}
	return lines
}

// skip reads the lines that are in the log already, and returns how many. Of an
// input that ends before nothing is known.
func (c *produceCommand) skip(in *lineReader, logged int64) (int64, error) {
	for n := range logged {
		_, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("%s has %s of %q, the input only %s with a line feed: it is not what was sent before",
				c.Topic, cli.Count(logged, "line"), c.Name, cli.Count(n, "line"))
		case err != nil:
			return n, err
		}
	}
	return logged, nil
}
