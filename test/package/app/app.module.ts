import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AwaModule } from 'nestjs-awa';
import { awaMigrations } from 'nestjs-awa/migrations';
import { Greet, Greeted, Greeter, GreetHandler } from './greet.js';
import { Greeting } from './greeting.entity.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['DATABASE_URL'] ?? '',
      entities: [Greeting],
      synchronize: true,
      migrations: awaMigrations(),
      migrationsRun: true,
    }),
    AwaModule.forRoot({ jobs: [Greet] }),
  ],
  providers: [Greeted, Greeter, GreetHandler],
})
export class AppModule {}
