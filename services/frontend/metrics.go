package frontend

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/rolewatch"
)

var readings = []telemetry.Reading{
	{Name: "laneway.frontend.tickets.issued", Description: "Tickets issued", Unit: "{ticket}", Counter: true},
	{Name: "laneway.frontend.tickets.given_up", Description: "Tickets that were given up", Unit: "{ticket}", Counter: true},
	{Name: "laneway.frontend.tickets.outstanding", Description: "Tickets that are not resolved", Unit: "{ticket}"},
	{Name: "laneway.frontend.restaged", Description: "Batches that were staged again", Unit: "{batch}", Counter: true},
	{Name: "laneway.frontend.stagers", Description: "Stagers that are alive, by their announcements", Unit: "{stager}"},
	{Name: "laneway.frontend.refused", Description: "Requests that were refused before they got a ticket", Unit: "{request}", Counter: true},
	{Name: "laneway.frontend.in_flight.bytes", Description: "Payload bytes that are not resolved", Unit: "By"},
	{Name: "laneway.frontend.fetches", Description: "Open fetches", Unit: "{fetch}"},
	{Name: "laneway.frontend.fetch.messages", Description: "Records or frames sent to consumers", Unit: "{message}", Counter: true},
	{Name: "laneway.frontend.fetch.bytes", Description: "Payload bytes sent to consumers", Unit: "By", Counter: true},
	{Name: "laneway.frontend.fetch.dropped", Description: "Fetch requests without a reply subject", Unit: "{request}", Counter: true},
	{Name: "laneway.frontend.fetch.abandoned", Description: "Fetches that ended because their consumer went silent", Unit: "{fetch}", Counter: true},
	{Name: "laneway.frontend.fetch.altered", Description: "Payloads that did not match their checksum when they were read from the object store", Unit: "{payload}", Counter: true},
	{Name: "laneway.frontend.dropped", Description: "Messages that were dropped because they arrived faster than they were taken", Unit: "{message}", Counter: true},
	{Name: "laneway.frontend.pauses", Description: "Times that the subjects of a partition were left until what waited was answered", Unit: "{pause}", Counter: true},
	{Name: "laneway.frontend.answers.lost", Description: "Answers that could not be sent", Unit: "{answer}", Counter: true},
	{Name: "laneway.frontend.topics.lost", Description: "Topics that have logs and no record, or one that cannot be read", Unit: "{topic}"},
	{Name: "laneway.frontend.buckets.remade", Description: "Buckets that were lost and made again while logs existed", Unit: "{bucket}"},
	{Name: "laneway.frontend.subject_overlaps", Description: "JetStream streams that listen to subjects of Laneway's", Unit: "{stream}"},
	{Name: "laneway.frontend.malformed", Description: "Internal messages that could not be read", Unit: "{message}", Counter: true},
}

// roleReadings returns those of the other roles.
func roleReadings() (all []telemetry.Reading) {
	for _, d := range rolewatch.Roles {
		all = append(all, telemetry.Reading{
			Name: "laneway.frontend.role.unanswered", Description: "1 if no instance of the role answers", Unit: "{role}",
			Attributes: []attribute.KeyValue{attribute.String("role", d.Name)},
		})
	}
	return all
}

// Kinds of requests, as the counter of errors names them, besides those of package api.
const (
	kindProduce = "produce"
	kindFetch   = "fetch"
)

// errorCounter counts the requests that were answered with an error, by what was
// asked for and by the name of the error. It is safe for concurrent use.
type errorCounter struct {
	counter metric.Int64Counter
	labels  *sync.Map // metric.MeasurementOption by errorLabel: making one takes longer than counting
}

type errorLabel struct {
	kind string
	code protocol.Code
}

func newErrorCounter(t *telemetry.Telemetry) (errorCounter, error) {
	counter, err := t.Meter(role).Int64Counter("laneway.frontend.errors",
		metric.WithDescription("Requests that were answered with an error"), metric.WithUnit("{request}"))
	return errorCounter{counter, new(sync.Map)}, err
}

// add counts an error of the catalogue; a code that is not in it counts as what it is taken for.
func (c errorCounter) add(kind string, code protocol.Code) {
	label := errorLabel{kind, code}
	option, known := c.labels.Load(label)
	if !known {
		option, _ = c.labels.LoadOrStore(label, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("request", kind), attribute.String("error", code.Kind().Name))))
	}
	c.counter.Add(context.Background(), 1, option.(metric.MeasurementOption))
}

// values returns what the readings are, and then those of the other roles, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	produced := s.produce.Counts()
	read := s.fetches.Stats()
	survey := s.watch.Survey()
	silent := s.roles().Silent
	return append([]int64{
		int64(t.Issued), int64(t.GivenUp), int64(t.Outstanding), int64(t.Restaged), int64(len(s.stagers.live.Load().Live)),
		int64(produced.Refused), produced.Bytes, int64(s.fetches.OpenFetches()),
		int64(read.Messages), int64(read.Bytes), int64(read.Dropped), int64(read.Abandoned), int64(read.Altered),
		int64(s.dropped()), int64(produced.Pauses), int64(produced.AnswersLost),
		int64(len(survey.Lost) + len(survey.Unreadable)),
		int64(len(survey.Remade)), int64(s.watch.Overlaps()), int64(s.Wire.Malformed()),
	}, silent[:]...)
}

// dropped returns how many messages were dropped, by whichever connection.
func (s *Service) dropped() uint64 {
	n := s.Wire.Dropped() + s.produce.Counts().Dropped
	if s.requested != s.Wire {
		n += s.requested.Dropped()
	}
	return n
}

// Stats returns the sums over all partitions.
func (s *Service) Stats() core.Stats {
	var sum core.Stats
	for _, p := range s.set.Actors() {
		t := p.Stats()
		sum.Issued += t.Issued
		sum.Restaged += t.Restaged
		sum.GivenUp += t.GivenUp
		sum.Outstanding += t.Outstanding
	}
	return sum
}
