//! awa itself: pool, schema, bulk and single enqueue, workers, and every setting that differs from a default.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use awa::{Client, InsertOpts, InsertParams, QueueConfig, QueueStorage, QueueStorageConfig};
use awa::{insert_with, migrations, storage};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::environment::{Environment, Tuning};
use crate::job::{BenchJob, BenchWorker, now_ms, padding};
use crate::measurements::Measurements;

/// Waiting jobs are announced; polling is for what the announcement missed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A retry waits in the deferred table until this comes round.
const PROMOTE_INTERVAL: Duration = Duration::from_millis(25);

const ROTATE_INTERVAL: Duration = Duration::from_secs(1);

/// Statistics and snapshots for a dashboard that nobody looks at here.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(300);

/// One statement and one copy for so many jobs of a preload.
const PRELOAD_BATCH: u64 = 2_000;

const SCHEMA_WAIT: Duration = Duration::from_secs(60);

pub struct System {
    environment: Environment,
    pool: PgPool,
    store: QueueStorage,
    queues: Vec<String>,
    pad: String,
}

impl System {
    pub async fn connect(environment: &Environment) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(pool_size(environment))
            .test_before_acquire(false)
            .connect(&environment.database_url)
            .await
            .context("no connection to DATABASE_URL")?;
        Ok(Self {
            environment: environment.clone(),
            pool,
            store: QueueStorage::new(storage_config(environment.tuning))?,
            queues: environment.queue_names(),
            pad: padding(environment.payload_bytes),
        })
    }

    /// The first instance brings the database up to date, the others wait until it has.
    pub async fn install(&self) -> Result<()> {
        if self.environment.is_first() {
            migrations::run(&self.pool).await.context("migrations")?;
            return self.store.install(&self.pool).await.context("queue storage");
        }
        let deadline = tokio::time::Instant::now() + SCHEMA_WAIT;
        while !self.is_installed().await {
            if tokio::time::Instant::now() > deadline {
                bail!("instance 0 has installed no schema in {SCHEMA_WAIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// An error means that the schema is not there yet.
    async fn is_installed(&self) -> bool {
        storage::status(&self.pool)
            .await
            .is_ok_and(|status| status.state == "active" && status.active_engine == "queue_storage")
    }

    pub async fn preload(&self, measurements: &Measurements) -> Result<()> {
        let jobs = self.environment.preload;
        for from in (0..jobs).step_by(PRELOAD_BATCH as usize) {
            self.enqueue_many(from, PRELOAD_BATCH.min(jobs - from)).await?;
        }
        measurements.preloaded.store(jobs, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// The jobs `from`, `from + 1`, … in one transaction, copied straight into the table of ready jobs.
    pub async fn enqueue_many(&self, from: u64, count: u64) -> Result<()> {
        let params = (from..from + count)
            .map(|n| {
                let args = serde_json::to_value(self.job(n))?;
                Ok(InsertParams { kind: "bench_job".into(), args, opts: self.options(n) })
            })
            .collect::<Result<Vec<_>>>()?;
        self.store.enqueue_params_copy(&self.pool, &params).await?;
        Ok(())
    }

    pub async fn enqueue_one(&self, n: u64) -> Result<()> {
        insert_with(&self.pool, &self.job(n), self.options(n)).await?;
        Ok(())
    }

    fn job(&self, n: u64) -> BenchJob {
        BenchJob { sent_at: now_ms(), n, pad: self.pad.clone() }
    }

    fn options(&self, n: u64) -> InsertOpts {
        let queue = self.queues[n as usize % self.queues.len()].clone();
        InsertOpts { queue, ..InsertOpts::default() }
    }

    /// A client whose workers take jobs once it is started.
    pub fn client(&self, measurements: Arc<Measurements>) -> Result<Client> {
        let Environment { tuning, work, fail_first_percent, .. } = self.environment;
        let mut builder = Client::builder(self.pool.clone()).register_worker(BenchWorker {
            work,
            fail_first_percent,
            measurements,
        });
        for (index, queue) in self.queues.iter().enumerate() {
            let max_workers = self.environment.workers_of(index);
            if max_workers > 0 {
                builder = builder.queue(queue, queue_config(tuning, max_workers));
            }
        }
        builder = builder.queue_storage(storage_config(tuning), ROTATE_INTERVAL, ROTATE_INTERVAL);
        if tuning != Tuning::Defaults {
            builder = builder
                .promote_interval(PROMOTE_INTERVAL)
                .queue_stats_interval(SNAPSHOT_INTERVAL)
                .runtime_snapshot_interval(SNAPSHOT_INTERVAL);
        }
        Ok(builder.build()?)
    }

    pub fn descriptor(&self) -> Value {
        let queue = queue_config(self.environment.tuning, self.environment.workers);
        let storage = storage_config(self.environment.tuning);
        let is_tuned = self.environment.tuning != Tuning::Defaults;
        json!({
            "kind": "descriptor",
            "system": "awa-rust",
            "version": env!("AWA_VERSION"),
            "runtime": env!("COMPILER"),
            "settings": {
                "tuning": format!("{:?}", self.environment.tuning),
                "engine": "queue storage (receipts, compact completion)",
                "bulkEnqueue": "QueueStorage::enqueue_params_copy (COPY)",
                "singleEnqueue": "insert_with",
                "preloadBatch": PRELOAD_BATCH,
                "maxConnections": pool_size(&self.environment),
                "testBeforeAcquire": false,
                "maxWorkers": self.environment.workers,
                "claimers": queue.claimers,
                "claimBatchSize": queue.claim_batch_size,
                "pollIntervalMs": queue.poll_interval.as_millis() as u64,
                "deadlineSeconds": queue.deadline_duration.as_secs(),
                "queueStripes": storage.queue_stripe_count,
                "slots": [storage.queue_slot_count, storage.lease_slot_count, storage.claim_slot_count],
                "rotateIntervalMs": ROTATE_INTERVAL.as_millis() as u64,
                "completionBatch": "512 jobs or 1 ms (default)",
                "retry": "JobResult::RetryAfter(0)",
                "promoteIntervalMs": if is_tuned { PROMOTE_INTERVAL.as_millis() as u64 } else { 250 },
                "statsIntervalSeconds": if is_tuned { json!(SNAPSHOT_INTERVAL.as_secs()) } else { json!("default") },
            },
        })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// One connection a queue is the claimer's own, five are what the documentation asks for, the rest is for the
/// producer and for retries, which are a transaction each.
fn pool_size(environment: &Environment) -> u32 {
    environment.queues as u32 + 15
}

fn queue_config(tuning: Tuning, max_workers: u32) -> QueueConfig {
    let defaults = QueueConfig { max_workers, ..QueueConfig::default() };
    match tuning {
        Tuning::Defaults => defaults,
        Tuning::Advised | Tuning::Stripes => QueueConfig { poll_interval: POLL_INTERVAL, ..defaults },
        Tuning::NoDeadline => {
            QueueConfig { poll_interval: POLL_INTERVAL, deadline_duration: Duration::ZERO, ..defaults }
        }
    }
}

/// Producers and workers must agree on it, or jobs land where nobody looks.
fn storage_config(tuning: Tuning) -> QueueStorageConfig {
    let queue_stripe_count = if tuning == Tuning::Stripes { 2 } else { 1 };
    QueueStorageConfig { queue_stripe_count, ..QueueStorageConfig::default() }
}
