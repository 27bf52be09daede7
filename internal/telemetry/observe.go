package telemetry

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Reading is an instrument whose value is read when metrics are collected.
type Reading struct {
	Name        string // with dots, such as laneway.sequencer.lanes
	Description string
	Unit        string // as in UCUM; "{lane}" and the like for things that are counted
	Counter     bool   // the value only rises; else it is a gauge
	// Attributes tell apart the readings that share a name; the rest of these is the same.
	Attributes []attribute.KeyValue
}

// Observe registers readings. values is called at each collection, possibly
// from several goroutines, and returns one value per reading, in their order.
// stop ends the observation.
func Observe(meter metric.Meter, readings []Reading, values func() []int64) (stop func() error, err error) {
	instruments := make([]metric.Observable, len(readings))
	observe := make([]metric.Int64Observable, len(readings))
	for i, r := range readings {
		if r.Counter {
			c, err := meter.Int64ObservableCounter(r.Name, metric.WithDescription(r.Description), metric.WithUnit(r.Unit))
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", r.Name, err)
			}
			instruments[i], observe[i] = c, c
			continue
		}
		g, err := meter.Int64ObservableGauge(r.Name, metric.WithDescription(r.Description), metric.WithUnit(r.Unit))
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", r.Name, err)
		}
		instruments[i], observe[i] = g, g
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, v := range values() {
			o.ObserveInt64(observe[i], v, metric.WithAttributes(readings[i].Attributes...))
		}
		return nil
	}, instruments...)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return registration.Unregister, nil
}

// PartitionAttributes are the attributes that every span about a partition carries.
func PartitionAttributes(topic string, partition int32) []attribute.KeyValue {
	return []attribute.KeyValue{
		MessagingSystem.String(SystemNATS),
		MessagingDestination.String(topic),
		MessagingPartition.String(strconv.Itoa(int(partition))),
	}
}
