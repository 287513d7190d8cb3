//! The variables of the contract, read once and checked before anything is started.

use std::{env, str::FromStr, time::Duration};

use anyhow::{Context, Result, bail, ensure};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProducerMode {
    None,
    Fixed { jobs_per_second: f64 },
    DepthTarget { jobs: i64 },
    OneByOne { pause: Duration },
}

/// A variant of the system's own settings; the default is what its documentation advises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tuning {
    Advised,
    /// Attempts have no deadline, so that a claim is one compact row for a batch.
    NoDeadline,
    /// Two physical stripes behind each queue.
    Stripes,
    /// Nothing set but the number of workers.
    Defaults,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub database_url: String,
    pub preload: u64,
    pub mode: ProducerMode,
    pub batch_max: usize,
    pub batch_collected: Duration,
    pub calls_max: usize,
    pub workers: u32,
    pub queues: usize,
    pub payload_bytes: usize,
    pub work: Duration,
    pub fail_first_percent: u64,
    pub instance: u32,
    pub tuning: Tuning,
}

impl Environment {
    pub fn read() -> Result<Self> {
        let environment = Self {
            database_url: env::var("DATABASE_URL").context("DATABASE_URL is not set")?,
            preload: number("PRELOAD", 0)?,
            mode: producer_mode()?,
            batch_max: number("PRODUCER_BATCH_MAX", 128)?,
            batch_collected: Duration::from_millis(number("PRODUCER_BATCH_MS", 10)?),
            calls_max: number("PRODUCER_CALLS_MAX", 4)?,
            workers: number("WORKER_COUNT", 64)?,
            queues: number("QUEUES", 1)?,
            payload_bytes: number("JOB_PAYLOAD_BYTES", 256)?,
            work: Duration::from_secs_f64(number::<f64>("JOB_WORK_MS", 1.0)? / 1_000.0),
            fail_first_percent: number("FAIL_FIRST_PERCENT", 0)?,
            instance: number("INSTANCE_ID", 0)?,
            tuning: tuning()?,
        };
        ensure!(environment.queues > 0, "QUEUES must be at least 1");
        ensure!(environment.batch_max > 0, "PRODUCER_BATCH_MAX must be at least 1");
        ensure!(environment.calls_max > 0, "PRODUCER_CALLS_MAX must be at least 1");
        Ok(environment)
    }

    /// Only the first instance installs the schema and preloads.
    pub fn is_first(&self) -> bool {
        self.instance == 0
    }

    pub fn queue_names(&self) -> Vec<String> {
        (0..self.queues).map(|index| format!("bench_{index}")).collect()
    }

    /// The share of each queue; the first ones get what does not divide evenly.
    pub fn workers_of(&self, queue: usize) -> u32 {
        let queues = self.queues as u32;
        self.workers / queues + u32::from((queue as u32) < self.workers % queues)
    }
}

fn producer_mode() -> Result<ProducerMode> {
    Ok(match text("PRODUCER_MODE", "none").as_str() {
        "none" => ProducerMode::None,
        "fixed" => ProducerMode::Fixed { jobs_per_second: number("PRODUCER_RATE", 1_000.0)? },
        "depth-target" => ProducerMode::DepthTarget { jobs: number("TARGET_DEPTH", 1_000)? },
        "one-by-one" => ProducerMode::OneByOne {
            pause: Duration::from_secs_f64(number::<f64>("PRODUCER_PAUSE_MS", 0.0)? / 1_000.0),
        },
        other => bail!("PRODUCER_MODE {other} is not known"),
    })
}

fn tuning() -> Result<Tuning> {
    Ok(match text("TUNING", "").as_str() {
        "" | "default" => Tuning::Advised,
        "no-deadline" => Tuning::NoDeadline,
        "stripes" => Tuning::Stripes,
        "defaults" => Tuning::Defaults,
        other => bail!("TUNING {other} is not known"),
    })
}

/// An empty value is how shells write "not set".
fn text(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
}

fn number<T>(name: &str, default: T) -> Result<T>
where
    T: FromStr + ToString,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let value = text(name, &default.to_string());
    value.parse().with_context(|| format!("{name} is no such number: {value}"))
}
