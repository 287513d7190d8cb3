/*
 * Prints "N passed, N failed" over the JSON reports of several Vitest runs, given without their ".json".
 * A file that did not get as far as its tests counts as one failure. Prints no sum, and fails, if a report is
 * missing or says that its run failed in a way that cannot be counted (an unhandled error, a failed setup).
 */
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
for (const leg of process.argv.slice(2)) {
  const report = JSON.parse(readFileSync(`${leg}.json`, 'utf8'));
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  ).length;
  const failures = report.numFailedTests + brokenFiles;
  if (!report.success && failures === 0) {
    throw new Error(`The run of ${leg} failed outside of its tests; see its output.`);
  }
  if (report.numPendingTests > 0) console.log(`(${report.numPendingTests} skipped in one run)`);
  passed += report.numPassedTests;
  failed += failures;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
