import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { Quickstart } from './quickstart.js';
import { Summary } from './summary.js';
import { TerminalLogger } from './terminal-logger.js';

const startedAt = new Date();
const app = await NestFactory.createApplicationContext(AppModule, { logger: new TerminalLogger() });
// SIGINT and SIGTERM: stop claiming, drain, exit 0. `useProcessExit`, as a drained stop is no failure.
app.enableShutdownHooks(undefined, { useProcessExit: true });

try {
  const finished = await app.get(Quickstart).run();
  if (finished) {
    process.exitCode = (await app.get(Summary).print(startedAt)) ? 0 : 1;
    await app.close();
  }
  // If not, a signal came and Nest is closing the application.
} catch (error) {
  await app.close();
  throw error;
}
