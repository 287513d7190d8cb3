import { Client, type ClientConfig } from 'pg';

/** In milliseconds: an idle connection whose other end is gone is found after this and ten probes, one a second. */
export const KEEP_ALIVE_DELAY_MS = 10_000;

/** What pg has made of the configuration and the connection string, before it connects. */
interface Parameters {
  application_name: string;
  statement_timeout: unknown;
  lock_timeout: unknown;
  idle_in_transaction_session_timeout: unknown;
  query_timeout: unknown;
}

/**
 * A client for our own work, with the application's way to the server but not its limits. In pg, what stands in a connection string
 * goes before everything else: a name there would make all connections look like the application's, and its time-outs would
 * cut our statements off.
 */
export function ownClient(config: ClientConfig, applicationName: string): Client {
  const client = new Client({
    ...config,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
  });
  const parameters = (client as unknown as { connectionParameters: Parameters }).connectionParameters;
  parameters.application_name = applicationName;
  parameters.statement_timeout = false;
  parameters.lock_timeout = false;
  parameters.idle_in_transaction_session_timeout = false;
  parameters.query_timeout = false;
  return client;
}
