/** Version of this package, as runtime_instances shows it. A test compares it with package.json. */
export const VERSION = '0.1.0';
