package main

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	bucketGrowth = 1.02
	bucketCount  = 1170 // the last one begins at about three hours
)

// histogram counts durations in buckets of two percent, by many goroutines at once and without a lock.
type histogram struct {
	counts [bucketCount]atomic.Uint32
}

func (h *histogram) record(duration time.Duration) {
	micros := math.Max(float64(duration)/float64(time.Microsecond), 1)
	bucket := int(math.Log(micros) / math.Log(bucketGrowth))
	h.counts[min(bucket, bucketCount-1)].Add(1)
}

// take returns what was counted since the last call, as pairs of bucket and count, empty buckets left out.
func (h *histogram) take() [][2]uint32 {
	taken := [][2]uint32{}
	for bucket := range h.counts {
		if count := h.counts[bucket].Swap(0); count > 0 {
			taken = append(taken, [2]uint32{uint32(bucket), count})
		}
	}
	return taken
}
