//! The job that is measured: its arguments, and what its handler does.

use std::sync::{Arc, atomic::Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use awa::{JobArgs, JobContext, JobError, JobResult, Worker};
use serde::{Deserialize, Serialize};

use crate::measurements::Measurements;

/// What the arguments take as JSON besides the padding, with a sequence number of six digits.
const UNPADDED_BYTES: usize = 48;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchJob {
    pub sent_at: f64,
    pub n: u64,
    pub pad: String,
}

impl JobArgs for BenchJob {
    fn kind() -> &'static str {
        "bench_job"
    }
}

pub fn padding(payload_bytes: usize) -> String {
    "x".repeat(payload_bytes.saturating_sub(UNPADDED_BYTES))
}

/// Milliseconds since the epoch, with fractions.
pub fn now_ms() -> f64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_secs_f64() * 1_000.0
}

pub struct BenchWorker {
    pub work: Duration,
    pub fail_first_percent: u64,
    pub measurements: Arc<Measurements>,
}

#[async_trait]
impl Worker for BenchWorker {
    fn kind(&self) -> &'static str {
        BenchJob::kind()
    }

    /// Reads the two numbers it needs where they are: a copy of the arguments would be the harness' cost.
    async fn perform(&self, ctx: &JobContext) -> Result<JobResult, JobError> {
        let sent_at = ctx.job.args["sentAt"].as_f64();
        let n = ctx.job.args["n"].as_u64();
        let (Some(sent_at), Some(n)) = (sent_at, n) else {
            return Err(JobError::terminal("not a job of this benchmark"));
        };
        let is_first_attempt = ctx.job.attempt == 1;
        self.measurements.job_started(sent_at, is_first_attempt);

        if !self.work.is_zero() {
            tokio::time::sleep(self.work).await;
        }
        if is_first_attempt && n % 100 < self.fail_first_percent {
            self.measurements.failed.fetch_add(1, Relaxed);
            // The only failed attempt whose delay the handler chooses. An error would wait for the back-off of the
            // database, a second at least.
            return Ok(JobResult::RetryAfter(Duration::ZERO));
        }
        self.measurements.completed.fetch_add(1, Relaxed);
        Ok(JobResult::Completed)
    }
}
