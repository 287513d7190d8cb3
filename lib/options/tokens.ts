/** The checked options. */
export const AWA_OPTIONS = Symbol('awa:options');

/** The {@link Database} that this instance lives in. */
export const AWA_DATABASE = Symbol('awa:database');

/** The registry of the library's own intervals. */
export const AWA_SCHEDULE = Symbol('awa:schedule');
