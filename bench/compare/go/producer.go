package main

import (
	"context"
	"time"
)

// look is how often the producer looks whether jobs are wanted.
const look = time.Millisecond

// producer offers jobs until its context ends: at a rate, to a depth, or one after the other.
type producer struct {
	system       *system
	env          *environment
	measurements *measurements
	next         int
}

// run returns the first error of an insert, and nil once the context has ended. An insert on its way is not cut off
// by that: it may have been committed, and would be missing in the counts.
func (p *producer) run(ctx context.Context) error {
	switch p.env.mode {
	case modeFixed:
		return p.atARate(ctx)
	case modeDepthTarget:
		return p.toADepth(ctx)
	case modeOneByOne:
		return p.oneByOne(ctx)
	default:
		return nil
	}
}

// atARate credits the time that has passed, so that a slow call is made up for and the rate stays what was asked.
func (p *producer) atARate(ctx context.Context) error {
	credit, creditedAt := 0.0, time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		credit += now.Sub(creditedAt).Seconds() * p.env.rate
		creditedAt = now
		jobs := min(int(credit), p.env.batchMax)
		if jobs > 0 {
			if err := p.enqueueMany(ctx, jobs); err != nil {
				return err
			}
			credit -= float64(jobs)
		}
		// A full batch means that more is due already.
		if jobs < p.env.batchMax {
			pause(ctx, p.env.batchCollected-time.Since(creditedAt))
		}
	}
	return nil
}

// toADepth sends a whole batch as soon as it is missing, and less than that when as much time has passed as jobs are
// collected for at a fixed rate.
func (p *producer) toADepth(ctx context.Context) error {
	last := time.Now()
	for ctx.Err() == nil {
		missing := p.env.targetDepth - p.measurements.depth()
		isDue := missing > 0 && time.Since(last) >= p.env.batchCollected
		if missing < p.env.batchMax && !isDue {
			pause(ctx, look)
			continue
		}
		if err := p.enqueueMany(ctx, min(missing, p.env.batchMax)); err != nil {
			return err
		}
		last = time.Now()
	}
	return nil
}

func (p *producer) oneByOne(ctx context.Context) error {
	for ctx.Err() == nil {
		call := time.Now()
		if err := p.system.enqueueOne(context.WithoutCancel(ctx), p.next); err != nil {
			return err
		}
		p.measurements.produced(1, time.Since(call))
		p.next++
		for p.measurements.depth() > 0 && ctx.Err() == nil {
			pause(ctx, look)
		}
		pause(ctx, p.env.pause)
	}
	return nil
}

func (p *producer) enqueueMany(ctx context.Context, jobs int) error {
	call := time.Now()
	if err := p.system.enqueueMany(context.WithoutCancel(ctx), p.next, jobs); err != nil {
		return err
	}
	p.measurements.produced(jobs, time.Since(call))
	p.next += jobs
	return nil
}

// pause ends early with the context.
func pause(ctx context.Context, duration time.Duration) {
	if duration <= 0 {
		return
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
