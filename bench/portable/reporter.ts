import type { QueueService } from 'nestjs-awa';
import adapter from './adapter.json' with { type: 'json' };
import { depths } from './depth.js';
import type { PortableEnvironment } from './environment.js';
import type { Measurements, Metric } from './measurements.js';

/** Writes a line of JSON for each metric, at every full multiple of the sample's time by the wall clock. */
export class Reporter {
  private timer: NodeJS.Timeout | undefined;
  private reporting: Promise<void> | undefined;

  constructor(
    private readonly queue: QueueService,
    private readonly environment: PortableEnvironment,
    private readonly measurements: Measurements,
  ) {}

  start(): void {
    const periodMs = this.environment.sampleEveryS * 1_000;
    this.timer = setTimeout(
      () => {
        this.reporting = this.report();
        this.start();
      },
      periodMs - (Date.now() % periodMs),
    );
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
    await this.reporting;
  }

  private async report(): Promise<void> {
    const t = new Date().toISOString();
    const metrics = this.measurements.take();
    if (this.environment.instanceId === 0) metrics.push(...(await this.global()));
    for (const { metric, value, windowS } of metrics) {
      writeLine({
        t,
        system: adapter.system,
        kind: 'adapter',
        subject_kind: 'adapter',
        subject: '',
        instance_id: this.environment.instanceId,
        metric,
        value,
        window_s: windowS,
      });
    }
  }

  /** What concerns all replicas. A database that is away has no metrics. */
  private async global(): Promise<Metric[]> {
    const { mode, sampleEveryS } = this.environment;
    const gauges: Record<string, number> = {};
    if (mode === 'fixed') gauges['producer_target_rate'] = this.environment.rate();
    try {
      const { available, running, scheduled, retryable } = await depths(this.queue);
      Object.assign(gauges, {
        queue_depth: available,
        running_depth: running,
        total_backlog: available + scheduled + retryable,
      });
    } catch (error) {
      process.stderr.write(`no depths: ${String(error)}\n`);
    }
    return Object.entries(gauges).map(([metric, value]) => ({ metric, value, windowS: sampleEveryS }));
  }
}

export function writeLine(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
