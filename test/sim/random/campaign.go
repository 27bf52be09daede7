package random

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"laneway.dev/test/sim/check"
)

// Campaign is a run of many seeds, on all processors.
type Campaign struct {
	From     uint64        // the first seed
	Seeds    int           // 0 is as many as there is time for
	Time     time.Duration // 0 is as long as it takes
	Progress func(Report)  // receives the report so far, every 50,000 seeds; may be nil
}

// Report is what came of a campaign. It ends with the first violation.
type Report struct {
	Seeds     int
	Took      time.Duration
	Counts    check.Counts
	Seed      uint64 // of the violation
	Violation error  // nil if there was none
}

// Run runs the campaign.
func (c Campaign) Run() Report {
	var (
		next    atomic.Uint64
		ended   atomic.Bool
		mu      sync.Mutex
		report  Report
		workers sync.WaitGroup
	)
	defer debug.SetGCPercent(debug.SetGCPercent(2000)) // worlds are small and many
	started := time.Now()
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !ended.Load() && (c.Time == 0 || time.Since(started) < c.Time) {
				n := next.Add(1) - 1
				if c.Seeds > 0 && n >= uint64(c.Seeds) {
					return
				}
				result := Run(Seeded(c.From+n), nil)
				mu.Lock()
				report.add(c.From+n, result)
				if report.Seeds%50_000 == 0 && c.Progress != nil {
					report.Took = time.Since(started)
					c.Progress(report)
				}
				ended.Store(report.Violation != nil)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	report.Took = time.Since(started)
	return report
}

// add adds what came of a seed. Of several violations that of the lowest seed counts.
func (r *Report) add(seed uint64, result Result) {
	r.Seeds++
	sum, more := reflect.ValueOf(&r.Counts).Elem(), reflect.ValueOf(result.Counts)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
	if result.Violation != nil && (r.Violation == nil || seed < r.Seed) {
		r.Seed, r.Violation = seed, result.Violation
	}
}

// Rates returns seeds and events per second.
func (r *Report) Rates() (seeds, events float64) {
	return float64(r.Seeds) / r.Took.Seconds(), float64(r.Counts.Events) / r.Took.Seconds()
}

// often is how often a campaign is to come across everything that it is about.
const often = 100

// Missed returns what a campaign met too rarely. Without enough of everything, a
// campaign without violations proves little.
func (r *Report) Missed() []string {
	var missed []string
	v := reflect.ValueOf(r.Counts)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).Int() < often {
			missed = append(missed, fmt.Sprintf("%s: %d", name, v.Field(i).Int()))
		}
	}
	return missed
}
