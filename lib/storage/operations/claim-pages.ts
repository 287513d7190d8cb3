/** What one statement did that ends attempts of others, going through their claims in the order of their keys. */
export interface ClaimPage {
  readonly attempts: number;
  /** Attempts that could not be ended, and why. */
  readonly refused: readonly string[];
  /** The claim it came to; null: there is nothing more. */
  readonly last_lane: number | null;
  readonly last_seq: string | null;
  /** What a rescue has ended, as JSON: an array of {@link RescuedAttempt}. */
  readonly ended?: string | null;
}

/** An attempt that was taken from a process that is gone. */
export interface RescuedAttempt {
  readonly jobId: string;
  readonly kind: string;
  readonly queue: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runLease: number;
  readonly state: 'retryable' | 'failed';
  readonly error: string;
}

/** The columns of a page, of a function that answers one. */
export const CLAIM_PAGE = 'p.attempts, p.refused, p.last_lane, p.last_seq::text AS last_seq';

/** What became of all pages. */
export interface ClaimsEnded {
  readonly attempts: number;
  readonly refused: readonly string[];
  readonly ended: readonly RescuedAttempt[];
}

/** Goes through all pages: what is refused is gone past, so it holds up nothing that comes after it. */
export async function walkClaims(
  page: (afterLane: number, afterSeq: string) => Promise<readonly ClaimPage[]>,
): Promise<ClaimsEnded> {
  let attempts = 0;
  const refused: string[] = [];
  const ended: RescuedAttempt[] = [];
  let [lane, seq] = [0, '0'];
  for (;;) {
    const [row] = await page(lane, seq);
    attempts += row?.attempts ?? 0;
    refused.push(...(row?.refused ?? []));
    if (row?.ended != null) ended.push(...(JSON.parse(row.ended) as RescuedAttempt[]));
    if (row === undefined || row.last_lane === null || row.last_seq === null)
      return { attempts, refused, ended };
    [lane, seq] = [row.last_lane, row.last_seq];
  }
}
