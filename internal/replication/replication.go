// Package replication reports which streams of Laneway are kept on fewer NATS servers than they should be, and which
// servers acknowledge a write before it is on disk. It only reads.
package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
)

// Report is how the streams of Laneway are replicated.
type Report struct {
	Replicas int      // that each stream should have; 0 if the bucket that says so cannot be read
	Unmet    []Stream // streams that lack something, sorted by name
	Servers  []string // NATS servers that have streams, sorted
}

// Stream is a stream that has fewer replicas than it should have, or whose replicas are not all up to date.
type Stream struct {
	Name        string
	Configured  int               // replicas that it is configured with; 0 if that is unknown
	Current     int               // servers that have all of it
	Unreachable []string          // servers that have a replica and cannot be reached, sorted
	Behind      map[string]uint64 // other servers whose replica is not up to date, with the operations that they lack
	// Silent is why nothing is known of the stream: it has no leader, or JetStream does not answer. It is nil otherwise.
	Silent error
	// ByTopics says that the stream has as many replicas as its topics were created with, which MUST NOT be changed:
	// the replicator goes by the number of the topics.
	ByTopics bool
}

// askedAtOnce bounds the streams that are looked at at the same time.
const askedAtOnce = 16

// electionTime is how long JetStream may have no leader that lists the streams.
const electionTime = 10 * time.Second

// Look looks at all streams of Laneway.
func Look(ctx context.Context, js jetstream.JetStream) (r Report, err error) {
	listing, cancel := context.WithTimeoutCause(ctx, electionTime, errNoAnswer)
	defer cancel()
	names, err := kvbucket.Retry(listing, func(ctx context.Context) ([]string, error) { return streamNames(ctx, js) })
	if err != nil {
		return Report{}, fmt.Errorf("list the streams: %w", err)
	}
	l := looking{js: js, servers: make(map[string]bool)}
	_ = attempt(ctx, func(ctx context.Context) (err error) { // an error means that its bucket is among the silent streams
		r.Replicas, err = kvbucket.ClusterReplicas(ctx, js.Conn())
		return err
	})
	_ = attempt(ctx, func(ctx context.Context) (err error) {
		l.logs, err = topics.Logs(ctx, js.Conn())
		return err
	})
	l.wanted = r.Replicas
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, name := range names {
		group.Go(func() error { l.stream(ctx, name); return nil })
	}
	_ = group.Wait()
	for server := range l.servers {
		r.Servers = append(r.Servers, server)
	}
	slices.Sort(r.Servers)
	r.Unmet = l.unmet
	slices.SortFunc(r.Unmet, func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	return r, ctx.Err()
}

// attempt bounds a request, which hangs while a stream has no leader.
func attempt(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	return do(ctx)
}

func streamNames(ctx context.Context, js jetstream.JetStream) (names []string, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	listed := js.StreamNames(ctx)
	for name := range listed.Name() {
		if strings.HasPrefix(name, "LANEWAY_") || strings.HasPrefix(name, "KV_LANEWAY_") {
			names = append(names, name)
		}
	}
	return names, listed.Err()
}

// looking is one look at all streams.
type looking struct {
	js     jetstream.JetStream
	wanted int
	logs   int // of the cluster; 0 if that is unknown

	mu      sync.Mutex // guards what follows
	servers map[string]bool
	unmet   []Stream
}

func (l *looking) stream(ctx context.Context, name string) {
	var info *jetstream.StreamInfo
	err := attempt(ctx, func(ctx context.Context) error {
		stream, err := l.js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound): // it was removed meanwhile
		return
	case errors.Is(err, context.DeadlineExceeded):
		err = errNoAnswer
		fallthrough
	case err != nil:
		l.unmet = append(l.unmet, Stream{Name: name, Silent: err})
		return
	}
	if info.Cluster != nil {
		if info.Cluster.Leader != "" {
			l.servers[info.Cluster.Leader] = true
		}
		for _, replica := range info.Cluster.Replicas {
			l.servers[replica.Name] = true
		}
	}
	s := stateOf(info)
	s.ByTopics = l.byTopics(s)
	if s.Silent != nil || s.Configured < l.wanted || s.Current < s.Configured {
		l.unmet = append(l.unmet, s)
	}
}

var (
	errNoLeader = errors.New("it has no leader")
	errNoAnswer = errors.New("JetStream does not answer")
)

// unheard is after what time without a word a server counts as unreachable. Servers with replicas send one each second.
// NATS itself calls a server that was killed offline only after two to three minutes.
const unheard = 10 * time.Second

// stateOf returns what a stream has.
func stateOf(info *jetstream.StreamInfo) Stream {
	s := Stream{Name: info.Config.Name, Configured: info.Config.Replicas, Current: 1, Behind: make(map[string]uint64)}
	if info.Cluster == nil {
		return s // on a single server
	}
	if info.Cluster.Leader == "" {
		s.Silent, s.Current = errNoLeader, 0
	}
	for _, replica := range info.Cluster.Replicas {
		silent := replica.Active
		if since := info.Cluster.LeaderSince; silent == 0 && !replica.Current && since != nil { // this leader has not heard of it yet
			silent = info.TimeStamp.Sub(*since)
		}
		switch {
		case replica.Offline || silent > unheard:
			s.Unreachable = append(s.Unreachable, replica.Name)
		case !replica.Current:
			s.Behind[replica.Name] = replica.Lag
		default:
			s.Current++
		}
	}
	slices.Sort(s.Unreachable)
	return s
}

// byTopics reports whether a stream is a journal with the replicas of its topics. The number of its log follows from
// them.
func (l *looking) byTopics(s Stream) bool {
	number, isJournal := strings.CutPrefix(s.Name, messages.JournalStreamPrefix)
	log, err := strconv.Atoi(number)
	if !isJournal || err != nil {
		return false
	}
	return l.logs == 0 || log/l.logs+1 <= s.Configured
}
