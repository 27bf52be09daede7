package ticketing_test

import (
	"strconv"
	"testing"

	"laneway.dev/pkg/ticketing"
)

// inFlight is how many tickets of a lane the benchmarks keep unresolved.
const inFlight = 20

func BenchmarkIssueAndSettle(b *testing.B) {
	for _, lanes := range []int{1, 1000} {
		b.Run(strconv.Itoa(lanes)+" lanes", func(b *testing.B) {
			names := make([]string, lanes)
			for i := range names {
				names[i] = "lane " + strconv.Itoa(i)
			}
			s := ticketing.NewIssuer[*int]()
			resolve := func(*int) {}
			window := make([]struct {
				lane   string
				number uint64
			}, inFlight*lanes)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ticket := &window[i%len(window)]
				if ticket.number != 0 {
					s.Settle(ticket.lane, ticket.number, resolve)
				}
				ticket.lane = names[i%lanes]
				ticket.number, _ = s.Issue(ticket.lane, nil)
			}
		})
	}
}

// BenchmarkOneTicketPerLane creates and forgets a lane for every ticket.
func BenchmarkOneTicketPerLane(b *testing.B) {
	names := make([]string, 1000)
	numbers := make([]uint64, len(names))
	for i := range names {
		names[i] = "lane " + strconv.Itoa(i)
	}
	s := ticketing.NewIssuer[*int]()
	resolve := func(*int) {}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i % len(names)
		s.Settle(names[at], numbers[at], resolve)
		numbers[at], _ = s.Issue(names[at], nil)
	}
}

// BenchmarkHeartbeat visits all lanes, as a frontend does at each heartbeat.
func BenchmarkHeartbeat(b *testing.B) {
	s := ticketing.NewIssuer[*int]()
	for i := range 1000 {
		s.Issue("lane "+strconv.Itoa(i), nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Lanes(func(_ ticketing.Outstanding, unsettled func(func(uint64, *int) bool)) {
			unsettled(func(uint64, *int) bool { return true })
		})
	}
}

func BenchmarkStagedInOrder(b *testing.B) {
	l := ticketing.NewLane[int](1, start)
	b.ReportAllocs()
	for number := uint64(1); b.Loop(); number++ {
		l.Staged(number, max(number, inFlight)-inFlight+1, 0, start)
	}
}

func BenchmarkStagedReversed(b *testing.B) {
	l := ticketing.NewLane[int](1, start)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		// Windows of inFlight tickets, each staged in reverse order.
		floor := i/inFlight*inFlight + 1
		l.Staged(floor+inFlight-1-i%inFlight, floor, 0, start)
	}
}
