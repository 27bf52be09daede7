package bench

import "context"

// The systems that are measured.
const (
	Laneway   = "laneway"
	JetStream = "jetstream"
)

// Work is what is measured.
type Work string

// The kinds of work. The fields of Plan say which of them they apply to.
const (
	// Produce sends batches of records by Laneway's own client.
	Produce Work = "produce"
	// Publish sends single records by the PublishAsync of a JetStream client.
	Publish Work = "publish"
	// Consume reads what was sent before, when the servers have nothing in memory.
	Consume Work = "consume"
	// Latency sends single records at a fixed rate.
	Latency Work = "latency"
	// Create creates topics.
	Create Work = "create"
	// Restart restarts servers that have topics and producers.
	Restart Work = "restart"
	// Idle keeps topics to which nothing is sent.
	Idle Work = "idle"
)

// workload describes a kind of work.
type workload struct {
	own       string               // how Laneway does it
	modes     func(*Plan) []string // how JetStream does it
	syncs     []string             // of JetStream
	partition bool                 // many partitions are compared with one
	started   bool                 // only for servers that the benchmark has started
	measure   func(context.Context, *Plan, *servers, place) (Round, error)

	unit, better string // of the report
	value        string // names the figures in the unit
	reading      string // how to read them
}

const (
	higher, lower = "higher", "lower"
	readRate      = "Of records a second more is better"
	readTime      = "Of milliseconds less is better"
)

// workload returns the description of the plan's work.
func (p *Plan) workload() workload { return workloads()[p.Work] }

func workloads() map[Work]workload {
	both := []string{syncDefault, syncAlways}
	only := func(mode string) func(*Plan) []string { return func(*Plan) []string { return []string{mode} } }
	return map[Work]workload{
		Produce: {
			own: "batches", modes: (*Plan).produceModes, syncs: both, partition: true, measure: measureProduce,
			unit: "records/s", better: higher, value: "records/s", reading: readRate,
		},
		Publish: {
			own: modeAsync, modes: only(modeAsync), syncs: both, partition: true, measure: measureProduce,
			unit: "records/s", better: higher, value: "records/s", reading: readRate,
		},
		Consume: {
			// How messages were synced makes no difference to a reader, because they are in the
			// kernel's page cache.
			own: "client", modes: func(p *Plan) []string { return []string{modeOrdered, p.modeMessages()} }, syncs: both[:1],
			measure: measureConsume, unit: "records/s", better: higher, value: "records/s", reading: readRate,
		},
		Latency: {
			own: modePublish, modes: only(modePublish), syncs: both, partition: true, measure: measureLatency,
			unit: "ms", better: lower, value: "p50 ms", reading: readTime + "; p50 is the median latency within a round",
		},
		Create: {
			own: modeTopics, modes: only(modeStreams), syncs: both, measure: measureCreate,
			unit: "ms", better: lower, value: "ms to create", reading: readTime,
		},
		Restart: {
			own: modeTopics, modes: only(modeStreams), syncs: both, started: true, measure: measureRestart,
			unit: "ms", better: lower, value: "ms to restart", reading: readTime + ", from the start of the processes until every partition or stream has taken a record",
		},
		Idle: {
			own: modeTopics, modes: only(modeStreams), syncs: both, started: true, measure: measureIdle,
			unit: "KiB", better: lower, value: "KiB for each", reading: "Of memory less is better: it is by how much all processes have grown, divided by the number of partitions or streams",
		},
	}
}

// produceModes returns the ways in which JetStream stores the records of many producers. Over
// many streams only PublishAsync spreads single records.
func (p *Plan) produceModes() []string {
	if p.layout().targets() > 1 {
		return []string{modeAsync}
	}
	return []string{modeAsync, modeAtomic, p.modeMessages()}
}

// contender is one way to do the work on one system.
type contender struct {
	system string
	mode   string
	sync   string
	store  string // of Laneway, if it is not in its folder
	remark string // how it differs from the first one of the same system; may be empty
	layout layout
	open   func(*servers, *Plan, layout) (place, error)
}

// name is unique among the contenders of a work.
func (c *contender) name() string {
	switch {
	case c.system != Laneway:
		return c.system + " " + c.mode + ", sync " + c.sync
	case c.remark != "":
		return Laneway + ", " + c.remark
	}
	return Laneway
}

// contenders returns the ways to do the work, Laneway first. For comparison, Laneway with a local
// store and Laneway with one partition follow.
func (p *Plan) contenders() []*contender {
	work := p.workload()
	laneway := func(store, remark string, l layout) *contender {
		return &contender{system: Laneway, mode: work.own, sync: syncAlways, store: store, remark: remark, layout: l, open: newTopicPlace}
	}
	all := []*contender{laneway(p.Store, "", p.layout())}
	if p.Store != "" {
		all = append(all, laneway("", "local store", p.layout()))
	}
	if work.partition && p.layout().targets() > 1 {
		all = append(all, laneway(p.Store, "one partition", single))
	}
	if !p.Versus {
		return all
	}
	for _, sync := range work.syncs {
		for _, mode := range work.modes(p) {
			all = append(all, &contender{system: JetStream, mode: mode, sync: sync, layout: p.layout(), open: newStreamPlace(mode)})
		}
	}
	return all
}
