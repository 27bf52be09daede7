package client_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"laneway.dev/pkg/client"
)

func apples(ctx context.Context) error {
	c, err := client.Connect("nats://127.0.0.1:4222")
	if err != nil {
		return err
	}
	defer c.Close()
	producer, err := c.Producer(ctx, "numbers", client.ProducerOptions{})
	if err != nil {
		return err
	}
	future, err := producer.Publish(ctx, client.ProducerRecord{Key: "customer-7", Value: []byte("three apples")})
	if err != nil {
		return err
	}
	ack, err := future.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println("it is in the log:", ack.Partition, ack.Offset)
	if err := producer.Close(ctx); err != nil {
		return err // not everything is in the log
	}
	for record, err := range c.Consumer(client.ConsumerOptions{Topic: "numbers", MaxRecords: 3}).Records(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("%d: %s\n", record.Offset, record.Value)
	}
	return nil
}

func TestReadmeCodeCompiles(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_ = apples // compiling it is enough
	_, after, _ := strings.Cut(string(readme), "\n```go\n")
	code, _, found := strings.Cut(after, "\n```\n")
	if !found || !strings.Contains(string(here), "\n"+code+"\n") {
		t.Errorf("readme_test.go does not contain the code of the README:\n%s", code)
	}
}
