package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/reading"
)

// progress is how far the reading of a partition has come, over all its requests.
// It belongs to the goroutine that reads the partition.
type progress struct {
	options   ConsumerOptions
	partition int32
	reader    reading.Reader
	served    bool // a frontend has answered
	failures  int  // in a row
	left      bool // the loop of the caller has ended
	failed    bool // the reading has ended with an error
}

// broken is the error of a request after which another request may succeed.
type broken struct{ err error }

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// errSkipped is the end of a request at records that cannot be read, or were deleted. The
// next request continues behind them.
var errSkipped = errors.New("continues behind records that cannot be read")

// progress returns the progress of a partition before anything was read.
func (c *Consumer) progress(number int32) *progress {
	p := &progress{options: c.options, partition: number}
	if o := c.options.Offset; o != nil {
		p.reader.StartAt(*o)
	}
	return p
}

// partition reads the frames of a partition, with as many requests as it takes. A
// request ends early when a frontend restarts, a message is lost or a connection
// breaks. The next one then continues at the next offset.
func (c *Consumer) partition(ctx context.Context, p *progress) iter.Seq2[fetched, error] {
	return func(yield func(fetched, error) bool) {
		for {
			err := c.client.fetch(ctx, p, yield)
			if errors.Is(err, errSkipped) {
				continue
			}
			if err != nil {
				err = c.client.retry(ctx, p, err)
				if err == nil {
					continue
				}
			}
			if err != nil && !p.left {
				yield(fetched{}, err)
			}
			return
		}
	}
}

// retry waits until the next request is due, and returns nil. If there is no next
// request, it returns the error that ends the reading.
func (c *Client) retry(ctx context.Context, p *progress, err error) error {
	var again *broken
	if !errors.As(err, &again) {
		return err
	}
	p.failures++
	if p.failures > p.options.Retries && (!p.options.Follow || !p.served) {
		return fmt.Errorf("%s/%d: given up after %d attempts: %w", p.options.Topic, p.partition, p.failures, again.err)
	}
	if errors.Is(err, nats.ErrNoResponders) {
		if missing := c.missing(ctx, p); missing != nil {
			return missing
		}
	}
	timer := time.NewTimer(min(retryPause<<min(p.failures-1, 10), retryPauseMax))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return ErrClosed
	}
}

// missing returns an error if the partition is known not to exist. A request without
// a receiver may also mean that no frontend is running yet.
func (c *Client) missing(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, p.options.Silence)
	defer cancel()
	topic, _, err := c.Admin().TopicInfo(ctx, p.options.Topic)
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")):
		return err
	case err == nil && (p.partition < 0 || int(p.partition) >= topic.Partitions):
		return noPartition(topic, p.partition)
	}
	return nil
}

// request returns the next request.
func (p *progress) request() protocol.FetchRequest {
	o := p.options
	r := protocol.FetchRequest{
		From: o.From, Time: o.Time, Follow: o.Follow, MaxWait: o.MaxWait.Milliseconds(),
		WindowBytes: o.WindowBytes, MaxRecords: o.MaxRecords, Frames: true, Accept: protocol.Compressions(),
	}
	if r.From == "" && r.Time == nil {
		r.From = protocol.FromEarliest
	}
	return p.reader.Request(r)
}

// took records that a batch was delivered, and reports whether a credit is due.
func (p *progress) took(b *fetched) (credit bool) {
	p.failures = 0
	return p.reader.Took(b.from, b.next(), len(b.frame))
}

// passed records that a gap was reported.
func (p *progress) passed(g *Gap) {
	p.reader.Passed(g.Last)
	p.failures = 0
}

// fetched is a batch frame that was received and whose content was not checked, or
// a gap.
type fetched struct {
	gap       *Gap // if it is not nil, the other fields are not used
	topic     string
	partition int32
	offset    int64 // of the first record in the frame
	count     int64 // of records in the frame
	from      int64 // records below this offset are not wanted
	time      time.Time
	frame     []byte
}

// next returns the offset behind the batch.
func (b *fetched) next() int64 { return b.offset + b.count }

// records yields the wanted records. It reports whether the iteration continues.
func (b *fetched) records(left *budget, yield func(Record, error) bool) bool {
	frame, err := protocol.NewFrameReader(b.frame)
	if err != nil {
		yield(Record{}, b.corrupt(err.Error()))
		return false
	}
	defer frame.Close()
	if int64(frame.Records()) != b.count {
		yield(Record{}, b.corrupt("its number of records is not the announced one"))
		return false
	}
	offset := b.offset
	for r, ok := frame.Next(); ok; r, ok = frame.Next() {
		if offset >= b.from {
			record := Record{
				Topic: b.topic, Partition: b.partition, Offset: offset, Time: b.time, Headers: r.Headers, Value: r.Value,
			}
			if !yield(record, nil) || !left.spend() {
				return false
			}
		}
		offset++
	}
	if frame.Err() != nil {
		yield(Record{}, b.corrupt(frame.Err().Error()))
		return false
	}
	return true
}

func (b *fetched) corrupt(reason string) error {
	return protocol.Errorf(protocol.CodeCorrupt, "%s/%d: the batch at offset %d: %s", b.topic, b.partition, b.offset, reason)
}

// readBatch decodes the headers of a batch.
func readBatch(m *nats.Msg) (fetched, error) {
	b := fetched{frame: m.Data}
	var err error
	if b.offset, err = natural(m, protocol.HeaderOffset); err != nil {
		return b, err
	}
	if content := m.Header.Get(protocol.HeaderContentType); content != protocol.ContentTypeBatch {
		return b, protocol.Errorf(protocol.CodeInternal, "batch frames were requested, but %.80q was received", content)
	}
	if b.count, err = natural(m, protocol.HeaderRecords); err != nil {
		return b, err
	}
	if b.count == 0 || b.next() < b.offset {
		return b, protocol.Errorf(protocol.CodeInternal, "a batch of %d records at offset %d", b.count, b.offset)
	}
	if b.time, err = time.Parse(time.RFC3339Nano, m.Header.Get(protocol.HeaderTime)); err != nil {
		return b, protocol.Errorf(protocol.CodeInternal, "header %s: %v", protocol.HeaderTime, err)
	}
	return b, nil
}

// natural returns the number in a header, which must not be negative.
func natural(m *nats.Msg, header string) (int64, error) {
	n, err := strconv.ParseInt(m.Header.Get(header), 10, 64)
	if err != nil || n < 0 {
		return 0, protocol.Errorf(protocol.CodeInternal, "header %s is %.40q", header, m.Header.Get(header))
	}
	return n, nil
}

// readStatus decodes a status message. A number that is missing or invalid is negative.
func readStatus(m *nats.Msg) reading.Status {
	s := reading.Status{Code: m.Header.Get(protocol.HeaderStatus), Err: readError(m)}
	for header, to := range map[string]*int64{
		protocol.HeaderNextOffset: &s.Next, protocol.HeaderGapFrom: &s.GapFrom, protocol.HeaderGapTo: &s.GapTo,
	} {
		var err error
		if *to, err = natural(m, header); err != nil {
			*to = -1
		}
	}
	return s
}

// named has the codes of the catalogue by name.
var named = func() map[string]protocol.Code {
	byName := make(map[string]protocol.Code)
	for _, c := range protocol.Codes() {
		byName[c.Kind().Name] = c
	}
	return byName
}()

// readError decodes the error of a status message. The description is the whole text
// of the error, including the meaning of its code. The meaning is removed, because
// it is added again when the error is printed.
func readError(m *nats.Msg) *protocol.Error {
	name, description := m.Header.Get(protocol.HeaderError), m.Header.Get(protocol.HeaderDesc)
	code, known := named[name]
	if !known {
		return protocol.Errorf(protocol.CodeInternal, "status %.40q %.80s %.400s", m.Header.Get(protocol.HeaderStatus), name, description)
	}
	detail, found := strings.CutPrefix(description, protocol.NewError(code, "").Error())
	if found {
		detail = strings.TrimPrefix(detail, ": ")
	}
	return protocol.NewError(code, detail)
}
