//! One process of the crate awa: a producer, workers, or both, as ../contract.md has it.

mod environment;
mod histogram;
mod job;
mod measurements;
mod producer;
mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use awa::Client;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use environment::{Environment, ProducerMode};
use measurements::{Measurements, say};
use producer::Producer;
use system::System;

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The contract allows ten seconds from SIGTERM to the end: jobs in hand have five, the pool has the rest.
const SHUTDOWN: Duration = Duration::from_secs(5);
const CLOSE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    log_warnings();
    let mut terminated = signal(SignalKind::terminate())?;
    let environment = Environment::read()?;
    let system = Arc::new(System::connect(&environment).await?);
    let measurements = Arc::new(Measurements::new());
    say(&system.descriptor());

    let run = run(&environment, &system, &measurements);
    let outcome = tokio::select! {
        outcome = run => outcome,
        _ = terminated.recv() => Ok(None),
    };
    let Some(running) = outcome? else { return Ok(()) };

    terminated.recv().await;
    running.stopping.store(true, Relaxed);
    if let Some(client) = running.client {
        client.shutdown(SHUTDOWN).await;
    }
    // An enqueue on its way may have been committed: without its end it would be missing in the counts.
    let _ = timeout(CLOSE, running.producing).await;
    running.reporting.abort();
    say(&measurements.sample());
    let _ = timeout(CLOSE, system.close()).await;
    Ok(())
}

/// Warnings of the library go to stderr. Those of its driver are about slow statements, and print a whole migration.
fn log_warnings() {
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("sqlx", LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}

struct Running {
    client: Option<Client>,
    producing: JoinHandle<()>,
    reporting: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
}

/// Everything up to the point where nothing is left to do but to wait for the signal.
async fn run(
    environment: &Environment,
    system: &Arc<System>,
    measurements: &Arc<Measurements>,
) -> Result<Option<Running>> {
    system.install().await?;
    if environment.is_first() && environment.preload > 0 {
        let started = Instant::now();
        system.preload(measurements).await?;
        let seconds = started.elapsed().as_secs_f64();
        say(&json!({"kind": "preloaded", "jobs": environment.preload, "seconds": seconds}));
    }

    say(&json!({"kind": "ready"}));
    let reporting = tokio::spawn(report(environment.mode, measurements.clone()));
    let client = match environment.workers {
        0 => None,
        _ => Some(system.client(measurements.clone())?),
    };
    if let Some(client) = &client {
        client.start().await?;
    }

    let stopping = Arc::new(AtomicBool::new(false));
    let (system, environment) = (system.clone(), environment.clone());
    let (measurements, stopped) = (measurements.clone(), stopping.clone());
    let producer = Producer::new(system, environment, measurements, stopped);
    let producing = tokio::spawn(async move {
        if let Err(error) = producer.run().await {
            eprintln!("the producer has failed: {error:#}");
            std::process::exit(1);
        }
    });
    Ok(Some(Running { client, producing, reporting, stopping }))
}

/// A sample each second, and the one line that says that a preload is done, within a millisecond of it.
async fn report(mode: ProducerMode, measurements: Arc<Measurements>) {
    let samples = measurements.clone();
    let sampling = async move {
        let mut seconds = interval(SAMPLE_INTERVAL);
        seconds.tick().await;
        loop {
            seconds.tick().await;
            say(&samples.sample());
        }
    };
    let draining = async move {
        if mode != ProducerMode::None || measurements.preloaded.load(Relaxed) == 0 {
            return;
        }
        while !measurements.is_drained() {
            sleep(Duration::from_millis(1)).await;
        }
        say(&json!({"kind": "drained"}));
    };
    tokio::join!(sampling, draining);
}
