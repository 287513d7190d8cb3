export { awaMigrations } from './awa-migrations.js';
