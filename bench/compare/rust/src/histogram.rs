//! Durations counted in buckets of two percent, by many tasks at once and without a lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const GROWTH: f64 = 1.02;

/// The last bucket begins at about three hours.
const BUCKETS: usize = 1_170;

pub struct Histogram {
    counts: Vec<AtomicU32>,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect() }
    }

    pub fn record(&self, duration: Duration) {
        let micros = (duration.as_secs_f64() * 1e6).max(1.0);
        let bucket = (micros.ln() / GROWTH.ln()).floor() as usize;
        self.counts[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the last call, empty buckets left out.
    pub fn take(&self) -> Vec<(usize, u32)> {
        let taken = self.counts.iter().map(|count| count.swap(0, Ordering::Relaxed));
        taken.enumerate().filter(|(_, count)| *count > 0).collect()
    }
}
