import { Injectable, Module } from '@nestjs/common';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { ClsPluginTransactional, Transactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { AwaModule, defineJob, QueueService } from 'nestjs-awa';
import { ClsModule } from 'nestjs-cls';
import { describe, expect, it } from 'vitest';

import { useTestDatabase } from '../support/test-database.js';
import { useNestApps } from './nest-apps.js';

const Welcome = defineJob<string, 'welcome'>('welcome');

/** As the documentation has it. */
@Injectable()
class SignUpService {
  constructor(
    private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    private readonly queue: QueueService,
  ) {}

  @Transactional()
  async signUp(email: string, isRefused = false): Promise<string> {
    await this.host.tx.query('INSERT INTO public.users (email) VALUES ($1)', [email]);
    const { id } = await this.queue.enqueue(Welcome, email);
    if (isRefused) throw new Error('refused');
    return id;
  }
}

describe('inside @Transactional() of nestjs-cls', () => {
  const database = useTestDatabase();
  const apps = useNestApps();

  async function start(): Promise<SignUpService> {
    await database.query('CREATE TABLE IF NOT EXISTS public.users (email text)');
    await database.query('GRANT ALL ON public.users TO PUBLIC');
    await database.query('TRUNCATE public.users');

    @Module({ providers: [SignUpService] })
    class SignUpModule {}

    const app = await apps.start({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: database.url }),
        ClsModule.forRoot({
          global: true,
          plugins: [
            new ClsPluginTransactional({
              imports: [TypeOrmModule],
              adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() }),
            }),
          ],
        }),
        SignUpModule,
        AwaModule.forRootAsync({
          inject: [TransactionHost],
          useFactory: (host: TransactionHost<TransactionalAdapterTypeOrm>) => ({
            worker: false,
            transaction: () => host.tx,
          }),
        }),
      ],
    });
    return app.get(SignUpService, { strict: false });
  }

  const users = async () => (await database.query<{ email: string }>('SELECT email FROM public.users')).rows;
  const jobs = async () =>
    (await database.query<{ args: string }>("SELECT args FROM awa.ready_entries WHERE kind = 'welcome'"))
      .rows;

  it('an enqueue without an argument commits and rolls back with the rest', async () => {
    const service = await start();
    await expect(service.signUp('no@example.org', true)).rejects.toThrow('refused');
    expect([await users(), await jobs()]).toEqual([[], []]);
    await service.signUp('yes@example.org');
    expect(await users()).toEqual([{ email: 'yes@example.org' }]);
    expect(await jobs()).toEqual([{ args: 'yes@example.org' }]);
  });
});
