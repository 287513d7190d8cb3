/*
 * node .ci/sum-reports.mjs REPORT=STATUS...
 *
 * Prints "N passed, N failed" over the JSON reports of several Vitest runs, each given with the exit status of
 * its run, and fails if there was a failure. A file that did not get as far as its tests counts as one.
 *
 * Prints no sum, and fails, if a run failed in a way that its report does not count: an unhandled error, or a
 * global setup that left no report at all.
 */
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
let skipped = 0;
for (const argument of process.argv.slice(2)) {
  const separator = argument.lastIndexOf('=');
  const file = argument.slice(0, separator);
  const status = Number(argument.slice(separator + 1));
  const report = JSON.parse(readFileSync(file, 'utf8'));
  const broken = report.testResults.filter(
    (suite) => suite.status === 'failed' && !suite.assertionResults.some((test) => test.status === 'failed'),
  );
  const failures = report.numFailedTests + broken.length;
  if ((status !== 0 || !report.success) && failures === 0) {
    throw new Error(`${file}: the run failed (status ${status}) outside of its tests; see its output.`);
  }
  passed += report.numPassedTests;
  failed += failures;
  skipped += report.numPendingTests + report.numTodoTests;
}
if (skipped > 0) console.log(`(${skipped} skipped)`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
