/** Enqueues a job in a transaction and waits until its handler ran. Ends by itself, with exit code 0. */
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { Greeted, Greeter } from './greet.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
  const { id } = await app.get(Greeter).greet('Ada');
  const name = await app.get(Greeted).first;
  await app.close();
  console.log(`job ${id} greeted ${name}`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
