/**
 * The rules for what is enqueued by SQL: those of lib/jobs/job-options.rules.ts and lib/queue, in the same words. Each function answers
 * what is wrong, as sentences. Texts of the database have neither NUL nor lone surrogates, so that need not be asked.
 *
 * Patterns stand in dollar quotes: there a backslash is one, whatever standard_conforming_strings says.
 */

/** What String.prototype.trim() takes off. */
const WHITE = String.raw`\u0009-\u000D\u0020\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF`;

export const MAX_ARGS_BYTES = 1024 * 1024;
export const MAX_METADATA_BYTES = 64 * 1024;
export const MAX_DELAY_MS = 10 * 365 * 24 * 60 * 60 * 1000;
export const MAX_JSON_DEPTH = 1000;

export const jobRules = (s: string): string[] => [
  // In UTF-16 units, what string.length counts.
  String.raw`CREATE FUNCTION ${s}.utf16_length(p_text text) RETURNS int LANGUAGE sql IMMUTABLE AS $awa$
  SELECT char_length(p_text) + char_length(regexp_replace(p_text COLLATE "C", $r$[^\U00010000-\U0010FFFF]$r$, '', 'g'))
$awa$`,

  String.raw`CREATE FUNCTION ${s}.name_problem(p_label text, p_name text) RETURNS text LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE
    WHEN p_name IS NULL THEN p_label || ' must be a string, not null'
    WHEN p_name COLLATE "C" ~ $r$\A[${WHITE}]*\Z$r$ THEN p_label || ' must not be empty'
    WHEN p_name COLLATE "C" ~ $r$\A[${WHITE}]|[${WHITE}]\Z$r$ THEN p_label || ' must not begin or end with white space'
    WHEN ${s}.utf16_length(p_name) > 200
      THEN format('%s must have at most 200 characters, not %s', p_label, ${s}.utf16_length(p_name))
  END
$awa$`,

  // An escaped backslash before "u0000" is not NUL. Levels are counted only where there are brackets enough.
  String.raw`CREATE FUNCTION ${s}.json_problem(p_label text, p_json text, p_max_bytes int) RETURNS text LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE
    WHEN p_json IS NULL THEN p_label || $r$ must not be NULL: for JSON's null pass 'null'$r$
    WHEN octet_length(p_json) > p_max_bytes
      THEN format('%s must have at most %s bytes as JSON, not %s', p_label, p_max_bytes, octet_length(p_json))
    WHEN strpos(p_json, $r$\u0000$r$) > 0 AND p_json ~ $r$(?:\A|[^\\])(?:\\\\)*\\u0000$r$
      THEN p_label || ' contains NUL, which Postgres cannot store: remove it'
    WHEN char_length(p_json) - char_length(translate(p_json, '[{', '')) > ${MAX_JSON_DEPTH} AND (
      SELECT max(o.depth) > ${MAX_JSON_DEPTH} FROM (
        SELECT sum(CASE WHEN b.bracket IN ('[', '{') THEN 1 ELSE -1 END) OVER (ORDER BY b.nth) AS depth
        FROM regexp_split_to_table(
          regexp_replace(regexp_replace(p_json, $r$"(?:\\.|[^"\\])*"$r$, '', 'g'), $r$[^][{}]$r$, '', 'g'), ''
        ) WITH ORDINALITY AS b(bracket, nth)
      ) o
    ) THEN p_label || ' is nested more than ${MAX_JSON_DEPTH} levels deep'
  END
$awa$`,

  `CREATE FUNCTION ${s}.tags_problems(p_tags text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $awa$
  SELECT array_remove(array_agg(${s}.name_problem(format('tags[%s]', t.nth - 1), t.tag) ORDER BY t.nth)
    || CASE WHEN count(DISTINCT t.tag) > 20 THEN 'tags must hold at most 20 different tags'::text END, NULL)
  FROM unnest(p_tags) WITH ORDINALITY AS t(tag, nth)
$awa$`,

  `CREATE FUNCTION ${s}.metadata_problems(p_metadata jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE WHEN jsonb_typeof(p_metadata) <> 'object' THEN ARRAY['metadata must be an object, not ' || jsonb_typeof(p_metadata)]
    ELSE ARRAY(SELECT format('metadata key "%s" is reserved: choose one that does not begin with "awa:"', k)
      FROM jsonb_object_keys(p_metadata) AS k WHERE starts_with(k, 'awa:') ORDER BY k) END
$awa$`,

  `CREATE FUNCTION ${s}.unique_problems(p_unique jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $awa$
  SELECT CASE WHEN jsonb_typeof(p_unique) <> 'object' THEN ARRAY['unique must be an object, not ' || jsonb_typeof(p_unique)]
    ELSE ARRAY(
      SELECT CASE o.key
        WHEN 'key' THEN CASE
          WHEN o.type <> 'string' THEN 'unique.key must be a string, not ' || o.type
          WHEN o.value = '""' THEN 'unique.key must not be empty' END
        WHEN 'queue' THEN CASE WHEN o.type <> 'boolean' THEN 'unique.queue must be true or false, not ' || o.type END
        WHEN 'period' THEN CASE
          WHEN o.type <> 'number' OR (o.value::text)::numeric NOT BETWEEN 1 AND ${MAX_DELAY_MS} OR (o.value::text)::numeric % 1 <> 0
          THEN 'unique.period must be a whole number of milliseconds from 1 to ${MAX_DELAY_MS} (ten years), not ' || left(o.value::text, 60) END
        WHEN 'args' THEN CASE
          WHEN o.value = 'true' THEN NULL
          WHEN o.type <> 'array' THEN 'unique.args must be true or an array of paths, not ' || o.type
          WHEN o.value = '[]' THEN 'unique.args must name a path: leave it out when the arguments do not matter'
          WHEN EXISTS (SELECT FROM jsonb_array_elements(o.value) AS p(path)
            WHERE jsonb_typeof(p.path) <> 'string' OR '' = ANY (string_to_array(p.path #>> '{}', '.')) OR p.path = '""')
            THEN 'unique.args must hold paths such as "user.id", not ' || left(o.value::text, 60) END
        WHEN 'states' THEN CASE
          WHEN o.type <> 'array' THEN 'unique.states must be an array of states, not ' || o.type
          WHEN NOT o.value <@ '["scheduled", "available", "running", "retryable", "completed", "failed", "cancelled"]'
            THEN 'unique.states has a state that there is not: ' || left(o.value::text, 200)
          WHEN NOT o.value @> '["scheduled", "available", "running", "retryable"]'
            THEN 'unique.states must contain scheduled, available, running, retryable: a job that gave up its key there could not get it back' END
        ELSE format('unique has no option "%s" (known: key, args, queue, period, states)', o.key)
      END
      FROM (SELECT e.key, e.value, jsonb_typeof(e.value) AS type FROM jsonb_each(p_unique) e) o
    ) END
$awa$`,
];
