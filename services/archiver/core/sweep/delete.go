package sweep

import "time"

func (c *Core) recordStored(now time.Time, _ Event) Effect {
	if len(c.waiting) == 0 {
		return c.list(now)
	}
	c.step = (*Core).waitingDeleted
	return Delete{c.waiting}
}

func (c *Core) waitingDeleted(now time.Time, e Event) Effect {
	if d := e.(Deleted); d.Failed == "" {
		for i := range c.waiting {
			c.gone[c.waiting[i].Key] = struct{}{}
		}
	}
	c.count(e.(Deleted))
	return c.list(now)
}

func (c *Core) count(d Deleted) {
	c.outcome.Deleted += d.Objects
	c.outcome.DeletedBytes += d.Bytes
	if d.Failed != "" {
		c.deferred = d.Failed
	}
}

// list begins to list the store. A list of objects with batches always has all generations: puts
// land late, and there are few such objects.
func (c *Core) list(now time.Time) Effect {
	from := c.swept
	c.outcome.Full = from == 0 || c.full.IsZero() || now.Sub(c.full) >= c.settings.FullEvery || len(c.deleted) > 0 ||
		c.outcome.Bound-min(from, c.outcome.Bound) > maxRanges
	ranges := []Range{{Kind: Batches}}
	if c.outcome.Full {
		ranges = append(ranges, Range{Kind: Segment}, Range{Kind: Manifest})
	}
	for g := from; !c.outcome.Full && g < c.outcome.Bound; g++ {
		ranges = append(ranges, Range{Segment, g}, Range{Manifest, g})
	}
	c.step = (*Core).pageListed
	return List{ranges}
}

func (c *Core) pageListed(now time.Time, e Event) Effect {
	page := e.(Page)
	c.last = page.Last
	c.outcome.Listed += int64(len(page.Objects))
	var all []Object
	for _, o := range page.Objects {
		_, named := c.named[o.Key]
		switch {
		case c.goes(o):
			all = append(all, o)
		case !named:
			c.outcome.Orphans++
			c.outcome.OrphanBytes += o.Size
		}
	}
	c.step = (*Core).pageDeleted
	if len(all) == 0 {
		return c.pageDeleted(now, Deleted{})
	}
	return Delete{all}
}

// goes reports whether an object is deleted.
func (c *Core) goes(o Object) bool {
	if o.Generation >= c.outcome.Bound {
		return false
	}
	switch o.Kind {
	case Batches:
		return true
	case Segment, Manifest:
		_, named := c.named[o.Key]
		return !named
	}
	return false
}

func (c *Core) pageDeleted(now time.Time, e Event) Effect {
	c.count(e.(Deleted))
	if !c.last {
		c.step = (*Core).pageListed
		return Next{}
	}
	if c.deferred != "" {
		return c.end("not all objects could be deleted: " + c.deferred)
	}
	c.swept = max(c.swept, c.outcome.Bound)
	if c.outcome.Full {
		c.full = now
		for _, t := range c.deleted {
			if t.Seen != 0 && t.Seen <= c.outcome.Bound {
				c.outcome.Forget = append(c.outcome.Forget, t.Topic)
			}
		}
	}
	return c.end("")
}
