package bench

import (
	"context"
	"fmt"
)

// Run measures what the plan says, round by round: each contender once in every
// round, and another one first in each. What it started is gone when it returns,
// also after an error or when ctx ends.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	contenders := p.contenders()
	report := newReport(&p, contenders)
	for round := range p.Rounds {
		for turn := range contenders {
			at := (round + turn) % len(contenders)
			c := contenders[at]
			if p.Progress != nil {
				p.Progress(round*len(contenders)+turn, p.Rounds*len(contenders), fmt.Sprintf("round %d/%d, %s", round+1, p.Rounds, c.name()))
			}
			if err := settle(p.Folder); err != nil {
				return nil, err
			}
			measured, err := c.measure(ctx, &p)
			if err != nil {
				return nil, fmt.Errorf("round %d, %s: %w", round+1, c.name(), err)
			}
			report.Contenders[at].Rounds = append(report.Contenders[at].Rounds, measured)
		}
	}
	report.compare()
	return report, nil
}
