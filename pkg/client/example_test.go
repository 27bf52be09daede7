package client_test

import (
	"context"
	"fmt"
	"strings"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// The examples start their own Laneway. Yours is probably at nats://127.0.0.1:4222.
func ExampleConnect() {
	ctx := context.Background()
	c, err := client.Connect(serverURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "greetings"})
	if err != nil {
		fmt.Println(err)
		return
	}
	producer, err := c.Producer(ctx, topic.Name, client.ProducerOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, greeting := range []string{"hello", "good morning"} {
		if _, err := producer.Publish(ctx, client.ProducerRecord{Value: []byte(greeting)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Close returns nil when both are in the log.
	if err := producer.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for record, err := range c.Consumer(client.ConsumerOptions{Topic: topic.Name}).Records(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d: %s\n", record.Offset, record.Value)
	}
	// Output:
	// 0: hello
	// 1: good morning
}

func ExampleProducer_Publish() {
	ctx := context.Background()
	c, topic, err := example(ctx, protocol.TopicConfig{Name: "orders", Partitions: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	producer, err := c.Producer(ctx, topic, client.ProducerOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Records of a key keep their order: they go to the same partition.
	var futures []client.Future
	for _, order := range []string{"two apples", "no, three", "and a pear"} {
		future, err := producer.Publish(ctx, client.ProducerRecord{
			Key:     "customer-7",
			Headers: []protocol.Header{{Name: "Customer", Value: "7"}},
			Value:   []byte(order),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		futures = append(futures, future)
	}
	for _, future := range futures {
		ack, err := future.Wait(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("partition %d, offset %d\n", ack.Partition, ack.Offset)
	}
	if err := producer.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// partition 1, offset 0
	// partition 1, offset 1
	// partition 1, offset 2
}

// A producer with a name continues where the log ends, so an import can be interrupted at
// any time and started again.
func ExampleProducer_NextSequence() {
	ctx := context.Background()
	c, topic, err := example(ctx, protocol.TopicConfig{Name: "imports"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	source := strings.Fields("zero one two three four")
	importFrom := func(source []string) error {
		producer, err := c.Producer(ctx, topic, client.ProducerOptions{Name: "importer"})
		if err != nil {
			return err
		}
		done := producer.NextSequence(0)
		fmt.Printf("%d records are in the log, %d are to be sent\n", done, len(source[done:]))
		for _, value := range source[done:] {
			if _, err := producer.Publish(ctx, client.ProducerRecord{Value: []byte(value)}); err != nil {
				return err
			}
		}
		return producer.Close(ctx)
	}
	for _, available := range []int{3, 5, 5} {
		if err := importFrom(source[:available]); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// 0 records are in the log, 3 are to be sent
	// 3 records are in the log, 2 are to be sent
	// 5 records are in the log, 0 are to be sent
}

func ExampleConsumer_Records() {
	ctx := context.Background()
	c, topic, err := example(ctx, protocol.TopicConfig{Name: "events"}, "a", "b", "c", "d")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	consumer := c.Consumer(client.ConsumerOptions{
		Topic:  topic,
		Offset: new(int64(1)),
		// Without these two the reading ends at the end of the topic.
		Follow:     true,
		MaxRecords: 2,
	})
	for record, err := range consumer.Records(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s/%d offset %d: %s\n", record.Topic, record.Partition, record.Offset, record.Value)
	}
	// Output:
	// events/0 offset 1: b
	// events/0 offset 2: c
}

func ExampleAdmin() {
	ctx := context.Background()
	c, topic, err := example(ctx, protocol.TopicConfig{Name: "payments", Partitions: 2}, "a", "b", "c")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	admin := c.Admin()
	info, partitions, err := admin.TopicInfo(ctx, topic)
	if err != nil {
		fmt.Println(err)
		return
	}
	records := int64(0)
	for _, partition := range partitions {
		records += partition.EndOffset
	}
	fmt.Printf("%s has %d partitions and %d records\n", info.Name, info.Partitions, records)
	producers, err := admin.ProducerInfo(ctx, protocol.ProducerInfoRequest{Topic: topic, Name: "example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, producer := range producers {
		fmt.Printf("partition %d remembers the producer %q\n", producer.Partition, producer.Name)
	}
	if err := admin.DeleteTopic(ctx, topic); err != nil {
		fmt.Println(err)
	}
	// Output:
	// payments has 2 partitions and 3 records
	// partition 0 remembers the producer "example"
	// partition 1 remembers the producer "example"
}

// example returns a client and a new topic with records.
func example(ctx context.Context, config protocol.TopicConfig, values ...string) (*client.Client, string, error) {
	c, err := client.Connect(serverURL())
	if err != nil {
		return nil, "", err
	}
	if _, err := c.Admin().CreateTopic(ctx, config); err != nil {
		return nil, "", err
	}
	if len(values) == 0 {
		return c, config.Name, nil
	}
	producer, err := c.Producer(ctx, config.Name, client.ProducerOptions{Name: "example"})
	if err != nil {
		return nil, "", err
	}
	for _, value := range values {
		if _, err := producer.Publish(ctx, client.ProducerRecord{Value: []byte(value)}); err != nil {
			return nil, "", err
		}
	}
	return c, config.Name, producer.Close(ctx)
}
