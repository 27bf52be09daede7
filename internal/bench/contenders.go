package bench

import "context"

// contender is one way to do the work on one system.
type contender struct {
	system string
	mode   string
	sync   string
	open   func(context.Context, *servers, *Plan) (place, error)
}

// name is unique among the contenders of a work.
func (c *contender) name() string {
	if c.system == Laneway {
		return Laneway
	}
	return c.system + " " + c.mode + ", sync " + c.sync
}

// contenders returns who does the work, Laneway first.
func (p *Plan) contenders() []*contender {
	own := map[Work]string{
		Produce: "batches", Publish: modeAsync, Consume: "client", Latency: modePublish,
	}[p.Work]
	all := []*contender{{Laneway, own, syncAlways, newTopicPlace}}
	if !p.Versus {
		return all
	}
	modes, syncs := []string{}, []string{syncDefault, syncAlways}
	switch p.Work {
	case Produce:
		modes = []string{modeAsync, modeAtomic, p.modeMessages()}
	case Publish:
		modes = []string{modeAsync}
	case Latency:
		modes = []string{modePublish}
	case Consume:
		// How it was written makes no difference to who reads it from the memory of the kernel.
		modes, syncs = []string{modeOrdered, p.modeMessages()}, syncs[:1]
	}
	for _, sync := range syncs {
		for _, mode := range modes {
			all = append(all, &contender{JetStream, mode, sync, newStreamPlace(mode)})
		}
	}
	return all
}
