package main

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// measurements is what this process knows of its jobs.
type measurements struct {
	preloaded    atomic.Int64
	enqueued     atomic.Int64
	started      atomic.Int64
	firstStarted atomic.Int64 // first attempts alone: a retry was no waiting job of the producer's
	completed    atomic.Int64
	failed       atomic.Int64
	pickup       histogram
	producer     histogram
}

func (m *measurements) jobStarted(sentAt float64, isFirstAttempt bool) {
	m.started.Add(1)
	if isFirstAttempt {
		m.firstStarted.Add(1)
		m.pickup.record(milliseconds(nowMs() - sentAt))
	}
}

func (m *measurements) produced(jobs int, took time.Duration) {
	m.enqueued.Add(int64(jobs))
	m.producer.record(took)
}

// depth is what this process has enqueued and not seen started. Over all processes that is what waits, so one of
// them may well be below zero.
func (m *measurements) depth() int {
	return int(m.preloaded.Load() + m.enqueued.Load() - m.firstStarted.Load())
}

type sampleLine struct {
	Kind      string      `json:"kind"`
	T         int64       `json:"t"`
	Enqueued  int64       `json:"enqueued"`
	Started   int64       `json:"started"`
	Completed int64       `json:"completed"`
	Failed    int64       `json:"failed"`
	Pickup    [][2]uint32 `json:"pickup"`
	Producer  [][2]uint32 `json:"producer"`
}

func (m *measurements) sample() sampleLine {
	return sampleLine{
		Kind:      "sample",
		T:         time.Now().UnixMilli(),
		Enqueued:  m.enqueued.Load(),
		Started:   m.started.Load(),
		Completed: m.completed.Load(),
		Failed:    m.failed.Load(),
		Pickup:    m.pickup.take(),
		Producer:  m.producer.take(),
	}
}

// nowMs is the time in milliseconds since the epoch, with fractions.
func nowMs() float64 { return float64(time.Now().UnixMicro()) / 1000 }

var stdout sync.Mutex

// say writes one line, at once: the reader waits for it.
func say(line any) {
	stdout.Lock()
	defer stdout.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}
