import { defineJob } from 'nestjs-awa';
import { z } from 'zod';

/**
 * "Read this markdown file and store what is in it." The definition is what both sides import: who
 * enqueues gets the type of the arguments from it, and so does the handler. Any Standard Schema will do.
 */
export const IndexDocument = defineJob('index_document', {
  schema: z.object({
    documentId: z.uuid(),
    path: z.string().min(1),
  }),
  queue: 'documents',
  maxAttempts: 5,
  // Short, so that the retries can be watched: about 400 ms to the second attempt, 800 to the third.
  retry: { baseMs: 200, factor: 2, maxMs: 2_000 },
});
