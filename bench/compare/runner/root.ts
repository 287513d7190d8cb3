import { fileURLToPath } from 'node:url';

/** The root of the repository, seen from where this file is compiled to. */
export const ROOT_URL = new URL('../../../../', import.meta.url);
export const ROOT = fileURLToPath(ROOT_URL);
export const COMPARE = fileURLToPath(new URL('bench/compare/', ROOT_URL));
