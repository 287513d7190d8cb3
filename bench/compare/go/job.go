package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// unpaddedBytes is what the arguments take as JSON besides the padding, with a sequence number of six digits.
const unpaddedBytes = 48

type benchArgs struct {
	SentAt float64 `json:"sentAt"`
	N      int     `json:"n"`
	Pad    string  `json:"pad"`
}

func (benchArgs) Kind() string { return "bench_job" }

func padding(payloadBytes int) string { return strings.Repeat("x", max(payloadBytes-unpaddedBytes, 0)) }

var errFirstAttempt = errors.New("the first attempt fails on purpose")

type benchWorker struct {
	river.WorkerDefaults[benchArgs]

	env          *environment
	measurements *measurements
}

func (w *benchWorker) Work(_ context.Context, job *river.Job[benchArgs]) error {
	isFirstAttempt := job.Attempt == 1
	w.measurements.jobStarted(job.Args.SentAt, isFirstAttempt)
	if w.env.work > 0 {
		time.Sleep(w.env.work)
	}
	if isFirstAttempt && job.Args.N%100 < w.env.failFirstPercent {
		w.measurements.failed.Add(1)
		return errFirstAttempt
	}
	w.measurements.completed.Add(1)
	return nil
}

// retryAtOnce puts a retry off by nothing. River makes a job available at once, without a turn of its scheduler,
// when its retry is due within five seconds.
type retryAtOnce struct{}

func (retryAtOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }
