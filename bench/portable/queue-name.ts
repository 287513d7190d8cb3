/** Where the jobs of the benchmark go. */
export const QUEUE = 'default';
