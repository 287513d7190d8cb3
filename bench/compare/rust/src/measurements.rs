//! What this process knows of its jobs, and the lines it says about them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{histogram::Histogram, job::now_ms};

pub struct Measurements {
    pub preloaded: AtomicU64,
    pub enqueued: AtomicU64,
    pub started: AtomicU64,
    /// Starts of first attempts alone: a retry was no waiting job of the producer's.
    pub first_started: AtomicU64,
    pub completed: AtomicU64,
    pub failed: AtomicU64,
    pub pickup: Histogram,
    pub producer: Histogram,
}

impl Measurements {
    pub fn new() -> Self {
        Self {
            preloaded: AtomicU64::new(0),
            enqueued: AtomicU64::new(0),
            started: AtomicU64::new(0),
            first_started: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            pickup: Histogram::new(),
            producer: Histogram::new(),
        }
    }

    pub fn job_started(&self, sent_at_ms: f64, is_first_attempt: bool) {
        self.started.fetch_add(1, Relaxed);
        if is_first_attempt {
            self.first_started.fetch_add(1, Relaxed);
            self.pickup.record(Duration::from_secs_f64((now_ms() - sent_at_ms).max(0.0) / 1_000.0));
        }
    }

    pub fn produced(&self, jobs: u64, took: Duration) {
        self.enqueued.fetch_add(jobs, Relaxed);
        self.producer.record(took);
    }

    /// What this process has enqueued and not seen started. Over all processes that is what waits, so one of them
    /// may well be below zero.
    pub fn depth(&self) -> i64 {
        let sent = self.preloaded.load(Relaxed) + self.enqueued.load(Relaxed);
        sent as i64 - self.first_started.load(Relaxed) as i64
    }

    pub fn is_drained(&self) -> bool {
        self.completed.load(Relaxed) >= self.preloaded.load(Relaxed)
    }

    pub fn sample(&self) -> Value {
        json!({
            "kind": "sample",
            "t": now_ms().round(),
            "enqueued": self.enqueued.load(Relaxed),
            "started": self.started.load(Relaxed),
            "completed": self.completed.load(Relaxed),
            "failed": self.failed.load(Relaxed),
            "pickup": self.pickup.take(),
            "producer": self.producer.take(),
        })
    }
}

/// One line on stdout, written at once: the reader waits for it.
pub fn say(line: &Value) {
    println!("{line}");
}
