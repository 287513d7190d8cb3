/** What a database role may be allowed to do with an instance: run jobs, only enqueue them, or only look. `docs/roles.md` has the rules. */
export type Access = 'runtime' | 'producer' | 'reader';
