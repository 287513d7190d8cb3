import type { ReplayDatabase } from '../models.js';

/** A tick of the models' time, in milliseconds. A quarter of a second is exact in binary: so are sums and differences of it. */
export const TICK_MS = 250;

/**
 * The clock of the engine's functions in one database, moved by hand: it stands still otherwise.
 *
 * The functions are those of the migrations, unchanged. They call clock_timestamp() and look for it in pg_catalog; here they look into a
 * schema before that, which has a function of this name. It reads a sequence, since what that says does not depend on
 * transactions: for one that is open time goes on as well.
 */
export class EngineClock {
  private constructor(private readonly database: ReplayDatabase) {}

  static async install(database: ReplayDatabase): Promise<EngineClock> {
    await database.query(`
      CREATE SCHEMA IF NOT EXISTS moved_clock;
      GRANT USAGE ON SCHEMA moved_clock TO PUBLIC;
      CREATE SEQUENCE IF NOT EXISTS moved_clock.ticks;
      GRANT SELECT ON moved_clock.ticks TO PUBLIC;
      CREATE OR REPLACE FUNCTION moved_clock.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
        BEGIN RETURN (SELECT pg_catalog.to_timestamp(1600000000 + s.last_value * ${TICK_MS} / 1000.0::float8) FROM moved_clock.ticks s); END $$`);
    // Those that say nothing of a search path would look into the session's, or into that of their caller.
    await database.query(`
      DO $$ DECLARE v_function regprocedure; BEGIN
        FOR v_function IN
          SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname = 'awa' AND (p.prosrc LIKE '%clock_timestamp()%' OR p.proconfig IS NOT NULL)
        LOOP
          EXECUTE format('ALTER FUNCTION %s SET search_path = moved_clock, pg_catalog, pg_temp', v_function);
        END LOOP;
      END $$`);
    return new EngineClock(database);
  }

  async tick(): Promise<void> {
    await this.database.query(`SELECT nextval('moved_clock.ticks')`);
  }
}
