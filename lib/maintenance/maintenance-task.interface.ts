/** Something that has to be done from time to time. One file a task, all of one shape. */
export interface MaintenanceTask {
  /** For logs and for the schedule registry. */
  readonly name: string;
  /** How often to look, in milliseconds. */
  readonly intervalMs: number;
  /** This process begins to lead: what the task knew of the last time it did may be out of date. */
  begin?(): void;
  /**
   * Does what is due now. Called again only when it has ended; may throw.
   *
   * @returns `false` when nothing was due: that says nothing about whether it works again after a failure.
   */
  run(): Promise<unknown>;
}
