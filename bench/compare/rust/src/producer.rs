//! Offers jobs until it is stopped: at a rate, to a depth, or one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::environment::{Environment, ProducerMode};
use crate::measurements::Measurements;
use crate::system::System;

/// How often it looks whether jobs are wanted. The timer knows nothing shorter.
const LOOK: Duration = Duration::from_millis(1);

pub struct Producer {
    system: Arc<System>,
    environment: Environment,
    measurements: Arc<Measurements>,
    stopping: Arc<AtomicBool>,
    next: u64,
}

impl Producer {
    pub fn new(
        system: Arc<System>,
        environment: Environment,
        measurements: Arc<Measurements>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let next = environment.preload;
        Self { system, environment, measurements, stopping, next }
    }

    pub async fn run(mut self) -> Result<()> {
        match self.environment.mode {
            ProducerMode::None => Ok(()),
            ProducerMode::Fixed { jobs_per_second } => self.at_a_rate(jobs_per_second).await,
            ProducerMode::DepthTarget { jobs } => self.to_a_depth(jobs).await,
            ProducerMode::OneByOne { pause } => self.one_by_one(pause).await,
        }
    }

    /// Credit is the time that has passed, so that a slow call is made up for and the rate stays what was asked.
    async fn at_a_rate(&mut self, jobs_per_second: f64) -> Result<()> {
        let mut credit = 0.0;
        let mut credited_at = Instant::now();
        while !self.is_stopping() {
            credit += credited_at.elapsed().as_secs_f64() * jobs_per_second;
            credited_at = Instant::now();
            let jobs = (credit as u64).min(self.environment.batch_max as u64);
            if jobs > 0 {
                self.enqueue_many(jobs).await?;
                credit -= jobs as f64;
            }
            // A full batch means that more is due already.
            if jobs < self.environment.batch_max as u64 {
                sleep(self.environment.batch_collected.saturating_sub(credited_at.elapsed())).await;
            }
        }
        Ok(())
    }

    /// A whole batch as soon as it is missing, and less than that when as much time has passed as jobs are
    /// collected for at a fixed rate. A few calls may be under way: one after the other they would be the limit of
    /// a system that works faster than one caller can send.
    async fn to_a_depth(&mut self, depth: i64) -> Result<()> {
        let batch_max = self.environment.batch_max as i64;
        let mut calls = JoinSet::new();
        let mut jobs_under_way = 0;
        let mut last = Instant::now();
        while !self.is_stopping() {
            let missing = depth - self.measurements.depth() - jobs_under_way;
            let is_due =
                missing > 0 && calls.is_empty() && last.elapsed() >= self.environment.batch_collected;
            if calls.len() < self.environment.calls_max && (missing >= batch_max || is_due) {
                let jobs = missing.min(batch_max);
                let call = self.enqueue_many(jobs as u64);
                calls.spawn(async move { call.await.map(|()| jobs) });
                jobs_under_way += jobs;
            } else if calls.is_empty() {
                sleep(LOOK).await;
            } else if let Ok(Some(ended)) = timeout(LOOK, calls.join_next()).await {
                jobs_under_way -= ended??;
                last = Instant::now();
            }
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn one_by_one(&mut self, pause: Duration) -> Result<()> {
        while !self.is_stopping() {
            let call = Instant::now();
            self.system.enqueue_one(self.next).await?;
            self.measurements.produced(1, call.elapsed());
            self.next += 1;
            while self.measurements.depth() > 0 && !self.is_stopping() {
                sleep(LOOK).await;
            }
            sleep(pause).await;
        }
        Ok(())
    }

    /// A call that may run beside others: its jobs have their numbers before it begins.
    fn enqueue_many(&mut self, jobs: u64) -> impl Future<Output = Result<()>> + Send + 'static {
        let from = self.next;
        self.next += jobs;
        let (system, measurements) = (self.system.clone(), self.measurements.clone());
        async move {
            let call = Instant::now();
            system.enqueue_many(from, jobs).await?;
            measurements.produced(jobs, call.elapsed());
            Ok(())
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}
