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
			if err := p.enqueueMany(ctx, p.take(jobs), jobs); err != nil {
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
// collected for at a fixed rate. A few calls may be under way: one after the other they would be the limit of a system
// that works faster than one caller can send.
func (p *producer) toADepth(ctx context.Context) error {
	type call struct {
		jobs int
		err  error
	}
	ended := make(chan call, p.env.callsMax)
	calls, jobsUnderWay, last := 0, 0, time.Now()
	for ctx.Err() == nil || calls > 0 {
		missing := p.env.targetDepth - p.measurements.depth() - jobsUnderWay
		isDue := missing > 0 && calls == 0 && time.Since(last) >= p.env.batchCollected
		if ctx.Err() == nil && calls < p.env.callsMax && (missing >= p.env.batchMax || isDue) {
			jobs := min(missing, p.env.batchMax)
			from := p.take(jobs)
			go func() { ended <- call{jobs, p.enqueueMany(ctx, from, jobs)} }()
			calls, jobsUnderWay = calls+1, jobsUnderWay+jobs
			continue
		}
		select {
		case call := <-ended:
			calls, jobsUnderWay, last = calls-1, jobsUnderWay-call.jobs, time.Now()
			if call.err != nil {
				return call.err
			}
		case <-time.After(look):
		}
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

// take gives the number of the first of so many jobs.
func (p *producer) take(jobs int) int {
	from := p.next
	p.next += jobs
	return from
}

func (p *producer) enqueueMany(ctx context.Context, from, jobs int) error {
	call := time.Now()
	if err := p.system.enqueueMany(context.WithoutCancel(ctx), from, jobs); err != nil {
		return err
	}
	p.measurements.produced(jobs, time.Since(call))
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
