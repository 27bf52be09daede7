package produce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// lastAnswers bounds the wait for the batches in flight after an interrupt, or when
// the input cannot be read further.
const lastAnswers = 10 * time.Second

// maxResumable is how many lines an input may have if the producer has a name. The
// sequence of a line is its number, and sequences start again after 2^31-1.
const maxResumable = math.MaxInt32

// producer returns the producer of the lines. If it has a name, all lines must go to
// one partition. The last sequence in the log is then the number of lines that a
// restart skips. With several partitions, no such number says which lines are in a log.
func (c *Command) producer(ctx context.Context, laneway *client.Client, options client.ProducerOptions) (*client.Producer, error) {
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

// lines returns the reader of the lines. A producer with a name does not send a last
// line without a line feed: if the line grew later, the next run would skip it.
func (c *Command) lines(in io.Reader, limit int) *LineReader {
	lines := NewLineReader(in, limit)
	if c.Name != "" {
		lines.last, lines.terminated = maxResumable, true
	}
	return lines
}

// send publishes every line that is not in the log yet, and waits for the answers.
// The summary says how far it came, also after an error.
func (c *Command) send(ctx context.Context, producer *client.Producer, in *LineReader, waits *waiting) (*summary, error) {
	started, lines := time.Now(), int64(0)
	skipped, err := c.skip(in, int64(producer.NextSequence(int32(max(0, c.Partition)))))
	if err == nil {
		lines, err = PublishLines(ctx, producer, in, nil)
	}
	// Batches of what was read are in flight. Waiting for their answers, also after an
	// error, makes the summary exact.
	wait, cancel := waits.patience(ctx, err != nil)
	defer cancel()
	if closeErr := producer.Close(wait); err == nil {
		err = closeErr
	}
	result := summarize(c.Topic, lines, time.Since(started), producer.Summary())
	result.Skipped, result.Unfinished = skipped, in.unfinished
	return result, err
}

// skip reads the lines that are in the log already and returns their number. An input
// with fewer lines is not the one that was sent before; then it returns 0.
func (c *Command) skip(in *LineReader, logged int64) (int64, error) {
	for n := range logged {
		_, err := in.Next()
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

// PublishLines publishes each line as a record with the given headers until the input
// ends, and returns how many lines the producer has accepted. They need not be
// acknowledged yet. The error is that of the reader or of the producer.
func PublishLines(ctx context.Context, producer *client.Producer, in *LineReader, headers []protocol.Header) (int64, error) {
	for lines := int64(0); ; lines++ {
		line, err := in.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if _, err := producer.Publish(ctx, client.ProducerRecord{Headers: headers, Value: line}); err != nil {
			return lines, err
		}
	}
}
