package random

import "time"

// Mix says how often things go wrong. A probability applies to each message, upload or
// append. A weight is the share of one kind of disturbance; a run has between 3 and 12
// disturbances.
type Mix struct {
	Name string

	Lose, Double, Late    float64
	SlowStore, StoreFails float64
	LoseAck, LateAppend   float64
	RefuseAdmission       float64
	SnapshotDamage        float64
	ObjectDamage          float64 // of each batch in the object store
	SlowLane              float64 // of the run: that the batches of one client are staged slowly
	MaxLanes              int     // that a replicator remembers; 0 is enough
	MaxProducers          int     // the same of producers
	// Memory is how long a replicator remembers idle producers and message ids; 0 is
	// longer than a run. Some clients rest for longer than that. Memory exceeds the time
	// in which faults happen by more than an attempt takes, so that no retry arrives after
	// its batch was forgotten.
	Memory    time.Duration
	Skew      time.Duration // most that a process has its clock set wrong by
	Unordered bool          // messages overtake each other on one connection: worse than NATS

	// Repairs promises that no ticket ends with OUTCOME_UNKNOWN or FAILED: within a
	// deadline, at most two messages between services are lost, and sending again repairs
	// that.
	Repairs bool
	// OneLane promises that only one client suffers: from slow and failing uploads.
	OneLane      bool
	OneLaneFails float64

	// Archive means that the log is archived and purged. The fields after it apply only then.
	Archive              bool
	DoubleJob, FreezeJob float64 // that another archiver gets a job too, and that one hangs with it
	LosePut, LatePut     float64 // of each object that an archiver stores
	Unreadable           float64 // of each object of batches that an archiver reads: for a while
	HistoryAway          float64 // of each read of the history
	SaveFails            float64 // of each snapshot
	PurgeFails           float64
	Tail                 int64 // batches that may wait to be archived; 0 is enough
	SnapshotsLost        int
	Raise                time.Duration // mean time between two generations of objects, and between two sweeps; 0 is for ever
	DeleteFails          float64       // of each deletion, and of all deletions of a job together
	SweepPauses          float64       // of each step of a sweep: for so long that others sweep meanwhile
	ShortTail            bool          // entries are archived and purged as soon as possible
	Retain               float64       // of the run: that the topic has a retention. The weights of Retention and Truncate apply only then
	Days                 bool          // some clocks are wrong by days, that of JetStream too

	Crash, Hang, Zombie, Cut, LeaderChange, ClientRestart, ClientZombie, NameLost, Disconnect, EpochsLost int
	LimitChange                                                                                           int // of the topic; needs Memory
	Retention, Truncate                                                                                   int // changes of the retention, and truncations
}

// Mixes rotate over the seeds.
var Mixes = []Mix{
	{
		Name: "all", Lose: 0.01, Double: 0.01, Late: 0.02, SlowStore: 0.05, StoreFails: 0.02, LoseAck: 0.02, LateAppend: 0.01,
		RefuseAdmission: 0.02, SnapshotDamage: 0.1, ObjectDamage: 0.005, SlowLane: 0.3, Skew: 2 * time.Second, Crash: 3, Hang: 2, Zombie: 3, Cut: 2, LeaderChange: 2, ClientRestart: 1, ClientZombie: 2, Disconnect: 1,
	},
	{Name: "crashes", Lose: 0.002, SlowStore: 0.02, SnapshotDamage: 0.2, Crash: 6, ClientRestart: 2, LeaderChange: 1},
	{Name: "zombies", Skew: time.Second, Late: 0.02, Hang: 4, Zombie: 6, ClientZombie: 6, LateAppend: 0.02},
	{Name: "network", Lose: 0.05, Double: 0.05, Late: 0.05, Cut: 6, Hang: 1, Disconnect: 4},
	{Name: "log", Skew: 2 * time.Second, LoseAck: 0.1, LateAppend: 0.05, LeaderChange: 12, Zombie: 2, SnapshotDamage: 0.2},
	{Name: "store", ObjectDamage: 0.02, SlowStore: 0.2, StoreFails: 0.1, RefuseAdmission: 0.1, SlowLane: 0.5, Crash: 1, Hang: 1, ClientRestart: 1},
	{Name: "worse than NATS", Unordered: true, Lose: 0.02, Double: 0.1, Late: 0.1, Crash: 2, Zombie: 2, Hang: 2},
	{Name: "loss", Lose: 0.05, Double: 0.05, SnapshotDamage: 0.2, Repairs: true},
	{Name: "one lane", SlowLane: 1, OneLane: true, OneLaneFails: 0.2},
	{
		Name: "short memory", Memory: 18 * time.Second, MaxProducers: 2, Lose: 0.01, Late: 0.02, LoseAck: 0.02,
		SnapshotDamage: 0.1, Crash: 4, LeaderChange: 2, Zombie: 2,
	},
	{Name: "no room", MaxLanes: 3, Lose: 0.02, Late: 0.05, Double: 0.02, RefuseAdmission: 0.05, Skew: time.Second, Crash: 4, Zombie: 8, Hang: 2},
	{Name: "epochs lost", Lose: 0.01, Crash: 2, Zombie: 8, Hang: 4, EpochsLost: 8},
	{
		Name: "names lost", Lose: 0.01, Late: 0.02, LoseAck: 0.02, LateAppend: 0.02, SnapshotDamage: 0.1, Crash: 2, Hang: 1, Zombie: 2, LeaderChange: 2,
		ClientRestart: 1, ClientZombie: 1, NameLost: 8,
	},
	{
		Name: "limits change", Memory: 18 * time.Second, MaxProducers: 2, Lose: 0.01, Late: 0.02, LoseAck: 0.02, LateAppend: 0.01,
		SnapshotDamage: 0.3, Crash: 3, LeaderChange: 2, Zombie: 2, LimitChange: 8,
	},
	{
		Name: "archive", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, Raise: time.Second, DeleteFails: 0.1, SweepPauses: 0.02, DoubleJob: 0.1, FreezeJob: 0.1, Lose: 0.01, Double: 0.02, Late: 0.05, LosePut: 0.1, LatePut: 0.1, Unreadable: 0.05, HistoryAway: 0.02,
		SaveFails: 0.1, PurgeFails: 0.4, SnapshotDamage: 0.1, Crash: 4, Hang: 3, Zombie: 3, LeaderChange: 1, ClientRestart: 1,
	},
	{
		Name: "purge", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, DoubleJob: 0.1, Lose: 0.01, Late: 0.05, LoseAck: 0.02, LateAppend: 0.02, SaveFails: 0.2, PurgeFails: 0.5, SnapshotDamage: 0.3,
		SnapshotsLost: 16, Crash: 4, Hang: 2, Zombie: 6, LeaderChange: 2, ClientRestart: 1, ClientZombie: 1,
	},
	{
		Name: "archive, network", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, Raise: 800 * time.Millisecond, DeleteFails: 0.05, SweepPauses: 0.05, ShortTail: true, PurgeFails: 0.1, DoubleJob: 0.3, FreezeJob: 0.1, Lose: 0.05, Double: 0.05, Late: 0.2, LateAppend: 0.01, HistoryAway: 0.02, SaveFails: 0.05, SnapshotDamage: 0.1,
		Crash: 1, Hang: 3, Zombie: 2, Cut: 6, Disconnect: 4,
	},
	{
		Name: "archive, lost batches", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, Raise: 500 * time.Millisecond, DeleteFails: 0.1, SweepPauses: 0.02, ObjectDamage: 0.02, StoreFails: 0.05, SlowStore: 0.1, FreezeJob: 0.1, LosePut: 0.2, LatePut: 0.2, Unreadable: 0.2,
		HistoryAway: 0.1, PurgeFails: 0.2, Crash: 2, Hang: 2,
	},
	{
		Name: "archive, short memory", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, ShortTail: true, Memory: 18 * time.Second, MaxProducers: 2, Lose: 0.01, Late: 0.1, LoseAck: 0.02, SaveFails: 0.05, SnapshotDamage: 0.1,
		Crash: 4, LeaderChange: 2, Zombie: 2,
	},
	{
		Name: "archive, full tail", Archive: true, Retain: 0.5, Retention: 1, Truncate: 1, Tail: 40, DoubleJob: 0.2, FreezeJob: 0.2, Lose: 0.01, LosePut: 0.3, LatePut: 0.3, Unreadable: 0.2, SaveFails: 0.1, Crash: 3, Hang: 4, Zombie: 2,
	},
	{
		Name: "retention", Archive: true, Retain: 1, Raise: 2 * time.Second, DeleteFails: 0.1, SweepPauses: 0.02, Skew: 2 * time.Second, DoubleJob: 0.1, FreezeJob: 0.1, Lose: 0.01, Double: 0.02, Late: 0.05, LoseAck: 0.02, LateAppend: 0.02,
		LosePut: 0.05, LatePut: 0.1, HistoryAway: 0.02, SaveFails: 0.05, PurgeFails: 0.1, SnapshotDamage: 0.1, Crash: 3, Hang: 2, Zombie: 4, LeaderChange: 2, Disconnect: 2, ClientRestart: 1, Retention: 5, Truncate: 8,
	},
	{
		Name: "retention, wrong clocks", Archive: true, Retain: 1, Days: true, Skew: 2 * time.Second, DoubleJob: 0.1, FreezeJob: 0.1, Lose: 0.01, Double: 0.02, Late: 0.05, LoseAck: 0.02, LatePut: 0.1, SnapshotDamage: 0.1,
		Crash: 4, Hang: 2, Zombie: 6, LeaderChange: 6, ClientRestart: 1, Retention: 4, Truncate: 2,
	},
}
