import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The application's own table. The queue's are none of its business: AwaModule migrates those itself. */
export class CreateDocuments1767225600000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`CREATE SCHEMA IF NOT EXISTS quickstart`);
    await queryRunner.query(`
      CREATE TABLE quickstart.documents (
        id            uuid PRIMARY KEY,
        path          text NOT NULL UNIQUE,
        job_id        bigint NOT NULL,
        settled_at    timestamptz,
        failure       text,
        title         text,
        headings      jsonb,
        links         jsonb,
        words         integer,
        attempt       integer,
        pickup_ms     double precision,
        times_settled integer NOT NULL DEFAULT 0
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP SCHEMA quickstart CASCADE`);
  }
}
