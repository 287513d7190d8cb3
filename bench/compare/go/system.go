package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	// preloadBatch is the size that River's own benchmark inserts in.
	preloadBatch = 5000

	schemaWait = time.Minute
)

// system is River itself: pool, schema, bulk and single insert, workers, and every setting that differs from a default.
type system struct {
	env    *environment
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	pad    string
}

func connect(ctx context.Context, env *environment, measured *measurements) (*system, error) {
	config, err := pgxpool.ParseConfig(env.databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	config.MaxConns = poolSize(env)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("no pool: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), clientConfig(env, measured))
	if err != nil {
		return nil, fmt.Errorf("no client: %w", err)
	}
	return &system{env: env, pool: pool, client: client, pad: padding(env.payloadBytes)}, nil
}

// clientConfig leaves the queues out where nothing is worked: such a client can only insert.
func clientConfig(env *environment, measured *measurements) *river.Config {
	config := &river.Config{
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		RetryPolicy: retryAtOnce{},
	}
	config.FetchCooldown, config.FetchPollInterval = fetchIntervals(env.tuning)
	if env.workers == 0 {
		return config
	}
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &benchWorker{env: env, measurements: measured})
	config.Queues = map[string]river.QueueConfig{}
	for queue := range env.queues {
		if share := env.workersOf(queue); share > 0 {
			config.Queues[env.queueOf(queue)] = river.QueueConfig{MaxWorkers: share}
		}
	}
	return config
}

// fetchIntervals are the smallest that River takes: the pause between two fetches limits the throughput, and freed
// workers get jobs by the next poll. It costs an idle process a thousand fetches a second.
func fetchIntervals(variant tuning) (cooldown, poll time.Duration) {
	switch variant {
	case tuningPatient:
		return 2 * time.Millisecond, 20 * time.Millisecond
	case tuningDefaults:
		return river.FetchCooldownDefault, river.FetchPollIntervalDefault
	default:
		return river.FetchCooldownMin, river.FetchPollIntervalMin
	}
}

// poolSize: one connection listens, the others are for fetches (one a queue), the completer, maintenance and inserts.
func poolSize(env *environment) int32 { return int32(env.queues) + 15 }

// install brings the database up to date in the first instance, and waits for that in the others.
func (s *system) install(ctx context.Context) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(s.pool), &rivermigrate.Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	if s.env.isFirst() {
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	for waited := time.Now(); time.Since(waited) < schemaWait; time.Sleep(100 * time.Millisecond) {
		if result, err := migrator.Validate(ctx, nil); err == nil && result.OK {
			return nil
		}
	}
	return fmt.Errorf("instance 0 has installed no schema in %s", schemaWait)
}

func (s *system) preload(ctx context.Context, measured *measurements) error {
	for from := 0; from < s.env.preload; from += preloadBatch {
		if err := s.enqueueMany(ctx, from, min(preloadBatch, s.env.preload-from)); err != nil {
			return err
		}
	}
	measured.preloaded.Store(int64(s.env.preload))
	return nil
}

// enqueueMany sends the jobs from, from + 1, … by one COPY.
func (s *system) enqueueMany(ctx context.Context, from, count int) error {
	params := make([]river.InsertManyParams, count)
	for i := range params {
		args, opts := s.job(from + i)
		params[i] = river.InsertManyParams{Args: args, InsertOpts: opts}
	}
	_, err := s.client.InsertManyFast(ctx, params)
	return err
}

func (s *system) enqueueOne(ctx context.Context, n int) error {
	args, opts := s.job(n)
	_, err := s.client.Insert(ctx, args, opts)
	return err
}

func (s *system) job(n int) (benchArgs, *river.InsertOpts) {
	return benchArgs{SentAt: nowMs(), N: n, Pad: s.pad}, &river.InsertOpts{Queue: s.env.queueOf(n)}
}

func (s *system) descriptor() any {
	cooldown, poll := fetchIntervals(s.env.tuning)
	return map[string]any{
		"kind":    "descriptor",
		"system":  "river",
		"version": moduleVersion("github.com/riverqueue/river"),
		"runtime": "go " + runtime.Version()[len("go"):],
		"settings": map[string]any{
			"tuning":              string(s.env.tuning),
			"driver":              "riverpgxv5 (pgx " + moduleVersion("github.com/jackc/pgx/v5") + ")",
			"bulkEnqueue":         "InsertManyFast (COPY)",
			"singleEnqueue":       "Insert",
			"preloadBatch":        preloadBatch,
			"maxConnections":      poolSize(s.env),
			"maxWorkers":          s.env.workers,
			"fetchCooldownMs":     cooldown.Milliseconds(),
			"fetchPollIntervalMs": poll.Milliseconds(),
			"completer":           "batched, every 50 ms from 100 jobs on (default)",
			"retry":               "RetryPolicy: at once",
			"jobTimeoutSeconds":   river.JobTimeoutDefault.Seconds(),
		},
	}
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
