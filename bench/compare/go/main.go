// One process of River: a producer, workers, or both, as ../contract.md has it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/riverqueue/river"
)

// stopWait is for the jobs in hand; the contract allows ten seconds from SIGTERM to the end.
const stopWait = 6 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	env, err := readEnvironment()
	if err != nil {
		return err
	}
	measured := &measurements{}
	sys, err := connect(ctx, env, measured)
	if err != nil {
		return err
	}
	say(sys.descriptor())
	if err := prepare(ctx, sys, measured); err != nil {
		return err
	}

	// What is left to do ends by itself; the signal ends the producer, then the workers, then the samples.
	say(map[string]string{"kind": "ready"})
	go sampleEachSecond(ctx, measured)
	if env.workers > 0 {
		if env.mode == modeNone && measured.preloaded.Load() > 0 {
			sayWhenDrained(sys, measured)
		}
		if err := sys.client.Start(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("the workers do not start: %w", err)
		}
	}
	producing := &producer{system: sys, env: env, measurements: measured, next: env.preload}
	if err := producing.run(ctx); err != nil {
		return fmt.Errorf("the producer has failed: %w", err)
	}

	<-ctx.Done()
	if env.workers > 0 {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
		defer cancel()
		if err := sys.client.Stop(stopCtx); err != nil {
			fmt.Fprintln(os.Stderr, "jobs in hand were given up:", err)
		}
	}
	say(measured.sample())
	return nil
}

// prepare does everything that comes before the workers: the schema, and the preload of the first instance.
func prepare(ctx context.Context, sys *system, measured *measurements) error {
	if err := sys.install(ctx); err != nil {
		return fmt.Errorf("no schema: %w", err)
	}
	if !sys.env.isFirst() || sys.env.preload == 0 {
		return nil
	}
	started := time.Now()
	if err := sys.preload(ctx, measured); err != nil {
		return fmt.Errorf("the preload has failed: %w", err)
	}
	say(map[string]any{
		"kind": "preloaded", "jobs": sys.env.preload, "seconds": time.Since(started).Seconds(),
	})
	return nil
}

func sampleEachSecond(ctx context.Context, measured *measurements) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			say(measured.sample())
		case <-ctx.Done():
			return
		}
	}
}

// sayWhenDrained goes by River's events, which come when a result is written: the batched completer may have thousands
// of them in hand when the last handler returns.
func sayWhenDrained(sys *system, measured *measurements) {
	jobs := measured.preloaded.Load()
	events, unsubscribe := sys.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: int(jobs),
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
	})
	go func() {
		defer unsubscribe()
		for range events {
			if jobs--; jobs == 0 {
				say(map[string]string{"kind": "drained"})
				return
			}
		}
	}()
}
