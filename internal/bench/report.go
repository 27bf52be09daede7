package bench

import (
	"runtime"
	"time"
)

// Report is what was measured. Its JSON is stable: fields may be added.
type Report struct {
	Started    time.Time   `json:"started"`
	Machine    Machine     `json:"machine"`
	Work       Settings    `json:"work"`
	Unit       string      `json:"unit"`   // of all values: records/s or ms
	Better     string      `json:"better"` // higher or lower
	Contenders []Contender `json:"contenders"`
	Ratios     []Ratio     `json:"ratios,omitempty"`
	Notes      []string    `json:"notes,omitempty"` // what a reader must know
}

// Machine is where it was measured.
type Machine struct {
	System       string `json:"system"`
	Architecture string `json:"architecture"`
	CPUs         int    `json:"cpus"` // that this process may use
	Go           string `json:"go"`
}

// Settings say what was done.
type Settings struct {
	Name             Work    `json:"name"`
	Rounds           int     `json:"rounds"`
	RecordBytes      int     `json:"record_bytes"`
	BatchBytes       int     `json:"batch_bytes,omitempty"`
	Producers        int     `json:"producers,omitempty"`
	InFlight         int     `json:"in_flight,omitempty"`
	RecordsPerSecond int     `json:"records_per_second,omitempty"` // the fixed rate of latency
	DurationSeconds  float64 `json:"duration_seconds,omitempty"`
	Bytes            int64   `json:"bytes"`
	Cluster          int     `json:"cluster"` // NATS servers, and replicas
}

// Contender is one way to do the work, with its measurements.
type Contender struct {
	Name   string  `json:"name"`
	System string  `json:"system"` // laneway or jetstream
	Mode   string  `json:"mode"`
	Sync   string  `json:"sync"` // always or default, JetStream's every two minutes
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds []Round `json:"rounds"`
}

// Ratio is Laneway's median over that of another.
type Ratio struct {
	Against string  `json:"against"` // the name of a contender
	Ratio   float64 `json:"ratio"`
	// Min and Max are those of the ratios within each round, in which both
	// sides met about the same machine.
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Best bool    `json:"best"` // of all of JetStream's ways
	// BestOfSync is the best of those with the same sync.
	BestOfSync bool `json:"best_of_sync"`
}

func newReport(p *Plan, contenders []*contender) *Report {
	r := &Report{
		Started: time.Now().UTC(),
		Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version()},
		Work: Settings{
			Name: p.Work, Rounds: p.Rounds, RecordBytes: p.RecordBytes, Bytes: p.Bytes, Cluster: p.Cluster,
			DurationSeconds: p.Duration.Seconds(),
		},
		Unit: "records/s", Better: "higher",
	}
	switch p.Work {
	case Produce, Consume:
		r.Work.BatchBytes, r.Work.Producers, r.Work.InFlight = p.BatchBytes, p.Producers, p.InFlight
	case Publish:
		r.Work.Producers, r.Work.InFlight = p.Producers, p.InFlight
	case Latency:
		r.Work.RecordsPerSecond = p.Rate
		r.Unit, r.Better = "ms", "lower"
	}
	for _, c := range contenders {
		r.Contenders = append(r.Contenders, Contender{Name: c.name(), System: c.system, Mode: c.mode, Sync: c.sync})
	}
	if inMemory(p.Folder) {
		r.Notes = append(r.Notes, "The data lay in memory ("+p.Folder+"), where a sync costs nothing: name a folder on a disk by --data.")
	}
	if p.Server != "" && p.Work == Consume {
		r.Notes = append(r.Notes, "Laneway ran already: what was read may have been in its cache.")
	}
	return r
}
