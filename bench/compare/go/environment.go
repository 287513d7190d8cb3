package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

type producerMode string

const (
	modeNone        producerMode = "none"
	modeFixed       producerMode = "fixed"
	modeDepthTarget producerMode = "depth-target"
	modeOneByOne    producerMode = "one-by-one"
)

// tuning is a variant of River's own settings; the default is what makes it fastest.
type tuning string

const (
	tuningAdvised  tuning = "default"
	tuningPatient  tuning = "poll-20"  // fetches every 2 ms and polls every 20, as River's own benchmark does
	tuningDefaults tuning = "defaults" // nothing set but the number of workers
)

// environment is what the variables of the contract say, read once and checked before anything is started.
type environment struct {
	databaseURL      string
	preload          int
	mode             producerMode
	rate             float64
	targetDepth      int
	pause            time.Duration
	batchMax         int
	batchCollected   time.Duration
	callsMax         int
	workers          int
	queues           int
	payloadBytes     int
	work             time.Duration
	failFirstPercent int
	instance         int
	tuning           tuning
}

func readEnvironment() (*environment, error) {
	numbers := &numberReader{}
	env := &environment{
		databaseURL:      os.Getenv("DATABASE_URL"),
		preload:          int(numbers.read("PRELOAD", 0)),
		mode:             producerMode(text("PRODUCER_MODE", string(modeNone))),
		rate:             numbers.read("PRODUCER_RATE", 1000),
		targetDepth:      int(numbers.read("TARGET_DEPTH", 1000)),
		pause:            milliseconds(numbers.read("PRODUCER_PAUSE_MS", 0)),
		batchMax:         int(numbers.read("PRODUCER_BATCH_MAX", 128)),
		batchCollected:   milliseconds(numbers.read("PRODUCER_BATCH_MS", 10)),
		callsMax:         int(numbers.read("PRODUCER_CALLS_MAX", 4)),
		workers:          int(numbers.read("WORKER_COUNT", 64)),
		queues:           int(numbers.read("QUEUES", 1)),
		payloadBytes:     int(numbers.read("JOB_PAYLOAD_BYTES", 256)),
		work:             milliseconds(numbers.read("JOB_WORK_MS", 1)),
		failFirstPercent: int(numbers.read("FAIL_FIRST_PERCENT", 0)),
		instance:         int(numbers.read("INSTANCE_ID", 0)),
		tuning:           tuning(text("TUNING", string(tuningAdvised))),
	}
	if numbers.err != nil {
		return nil, numbers.err
	}
	return env, env.check()
}

func (env *environment) check() error {
	if env.databaseURL == "" {
		return fmt.Errorf("DATABASE_URL is not set")
	}
	if env.queues < 1 || env.batchMax < 1 || env.callsMax < 1 {
		return fmt.Errorf("QUEUES, PRODUCER_BATCH_MAX and PRODUCER_CALLS_MAX must be at least 1")
	}
	switch env.mode {
	case modeNone, modeFixed, modeDepthTarget, modeOneByOne:
	default:
		return fmt.Errorf("PRODUCER_MODE %s is not known", env.mode)
	}
	switch env.tuning {
	case tuningAdvised, tuningPatient, tuningDefaults:
	default:
		return fmt.Errorf("TUNING %s is not known", env.tuning)
	}
	return nil
}

// isFirst tells the instance that installs the schema and preloads.
func (env *environment) isFirst() bool { return env.instance == 0 }

func (env *environment) queueOf(n int) string { return fmt.Sprintf("bench_%d", n%env.queues) }

// workersOf is the share of one queue; the first ones get what does not divide evenly.
func (env *environment) workersOf(queue int) int {
	share := env.workers / env.queues
	if queue < env.workers%env.queues {
		share++
	}
	return share
}

func milliseconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Millisecond))
}

// text takes an empty value, which is how shells write "not set", for the default.
func text(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// numberReader keeps the first error, so that the environment is read in one expression.
type numberReader struct{ err error }

func (r *numberReader) read(name string, fallback float64) float64 {
	value := text(name, "")
	if value == "" {
		return fallback
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s is no number: %s", name, value)
	}
	return number
}
