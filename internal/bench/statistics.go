package bench

import "slices"

// median returns the middle of the values; 0 without any.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// values returns those of the rounds.
func (c *Contender) values() []float64 {
	all := make([]float64, len(c.Rounds))
	for i, r := range c.Rounds {
		all[i] = r.Value
	}
	return all
}

// compare fills in what follows from the rounds.
func (r *Report) compare() {
	for i := range r.Contenders {
		c := &r.Contenders[i]
		values := c.values()
		c.Median, c.Min, c.Max = median(values), slices.Min(values), slices.Max(values)
	}
	for i := range r.Contenders[1:] {
		other := &r.Contenders[i+1]
		ratio := ratioOf(&r.Contenders[0], other)
		ratio.Best, ratio.BestOfSync = r.isBest(other, ""), r.isBest(other, other.Sync)
		r.Ratios = append(r.Ratios, ratio)
	}
}

// ratioOf compares by median and round by round.
func ratioOf(own, other *Contender) Ratio {
	rounds := make([]float64, len(own.Rounds))
	for i := range rounds {
		rounds[i] = own.Rounds[i].Value / other.Rounds[i].Value
	}
	return Ratio{Against: other.Name, Ratio: own.Median / other.Median, Min: slices.Min(rounds), Max: slices.Max(rounds)}
}

// isBest says whether no other way of the same system, with this sync unless it
// is empty, has a better median.
func (r *Report) isBest(c *Contender, sync string) bool {
	for _, other := range r.Contenders {
		if other.System != c.System || sync != "" && other.Sync != sync {
			continue
		}
		if r.Better == "higher" && other.Median > c.Median || r.Better == "lower" && other.Median < c.Median {
			return false
		}
	}
	return true
}
