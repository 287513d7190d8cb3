import { OWN_NAMES } from './plan-settings.js';

/**
 * The unique key of a job that SQL enqueues: the same bytes as lib/queue/unique-claim.ts makes, so that a job of either side finds the
 * other's. Where the same bytes cannot be promised, for numbers that JavaScript may write otherwise, it is an error and not
 * another key.
 */
export const uniqueKeyOf = (s: string): string[] => [
  // JavaScript compares texts by UTF-16 units: what lies beyond the 16 bits comes before U+E000, and not last.
  String.raw`CREATE FUNCTION ${s}.utf16_order(p_text text) RETURNS text LANGUAGE sql IMMUTABLE AS $awa$
  SELECT regexp_replace(p_text COLLATE "C", $r$([\uE000-\uFFFF])$r$, chr(1114111) || $r$\1$r$, 'g') COLLATE "C"
$awa$`,

  /*
   * A number as JavaScript writes the double it reads: as it is, up to 15 digits (they survive a double) and for whole ones up to 2^53,
   * if it is neither so large nor so small that JavaScript would write an exponent.
   */
  `CREATE FUNCTION ${s}.canonical_number(p_number numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE
${OWN_NAMES} AS $awa$
DECLARE
  v_text text := trim_scale(p_number)::text;
BEGIN
  IF p_number = 0 OR (abs(p_number) BETWEEN 0.000001 AND 9007199254740992
    AND (p_number % 1 = 0 OR length(ltrim(replace(v_text, '.', ''), '-0')) <= 15)) THEN
    RETURN v_text;
  END IF;
  RAISE EXCEPTION 'unique.args cannot tell the number % from its neighbours: use unique.key, or put it into a string', left(v_text, 60)
    USING ERRCODE = 'AW010';
END $awa$`,

  // JSON text that is the same for equal values, as lib/queue/canonical-json.ts writes it.
  `CREATE FUNCTION ${s}.canonical_json(p_value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE
${OWN_NAMES} AS $awa$
BEGIN
  RETURN CASE jsonb_typeof(p_value)
    WHEN 'object' THEN '{' || coalesce((
      SELECT string_agg(to_json(e.key)::text || ':' || ${s}.canonical_json(e.value), ',' ORDER BY ${s}.utf16_order(e.key))
      FROM jsonb_each(p_value) e), '') || '}'
    WHEN 'array' THEN '[' || coalesce((
      SELECT string_agg(${s}.canonical_json(e.value), ',' ORDER BY e.nth)
      FROM jsonb_array_elements(p_value) WITH ORDINALITY AS e(value, nth)), '') || ']'
    WHEN 'string' THEN to_json(p_value #>> '{}')::text
    WHEN 'number' THEN ${s}.canonical_number((p_value #>> '{}')::numeric)
    ELSE p_value::text
  END;
END $awa$`,

  // One part of what is hashed: its tag, its length in bytes, its text.
  `CREATE FUNCTION ${s}.unique_part(p_tag int, p_text text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $awa$
  SELECT set_byte(decode('00', 'hex'), 0, p_tag) || int4send(octet_length(convert_to(p_text, 'UTF8'))) || convert_to(p_text, 'UTF8')
$awa$`,

  // What is at a path such as items.0.sku; NULL when there is nothing. Arrays have a length, as in JavaScript.
  `CREATE FUNCTION ${s}.value_at(p_value jsonb, p_path text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE
${OWN_NAMES} AS $awa$
DECLARE
  v_value jsonb := p_value;
  v_key text;
BEGIN
  FOREACH v_key IN ARRAY string_to_array(p_path, '.') LOOP
    v_value := CASE jsonb_typeof(v_value)
      WHEN 'object' THEN v_value -> v_key
      WHEN 'array' THEN CASE
        WHEN v_key = 'length' THEN to_jsonb(jsonb_array_length(v_value))
        WHEN v_key ~ '^(0|[1-9][0-9]{0,8})$' THEN v_value -> v_key::int END
    END;
  END LOOP;
  RETURN v_value;
END $awa$`,

  `CREATE FUNCTION ${s}.unique_key_of(p_kind text, p_queue text, p_args json, p_unique jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE
${OWN_NAMES} AS $awa$
DECLARE
  v_parts bytea := ${s}.unique_part(1, p_kind);
  v_args jsonb;
BEGIN
  IF (p_unique->>'queue')::boolean THEN
    v_parts := v_parts || ${s}.unique_part(2, p_queue);
  END IF;
  IF p_unique ? 'key' THEN
    v_parts := v_parts || ${s}.unique_part(3, p_unique->>'key');
  END IF;
  IF p_unique ? 'args' THEN
    BEGIN
      v_args := p_args::jsonb;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
      RAISE EXCEPTION 'unique.args cannot compare these arguments (%): use unique.key', SQLERRM USING ERRCODE = 'AW010';
    END;
    IF p_unique->'args' = 'true' THEN
      v_parts := v_parts || ${s}.unique_part(4, ${s}.canonical_json(v_args));
    ELSE
      v_parts := v_parts || (
        SELECT string_agg(${s}.unique_part(5, p.path) || CASE WHEN f.found IS NULL THEN ${s}.unique_part(7, '')
          ELSE ${s}.unique_part(6, ${s}.canonical_json(f.found)) END, ''::bytea ORDER BY ${s}.utf16_order(p.path))
        FROM (SELECT DISTINCT e AS path FROM jsonb_array_elements_text(p_unique->'args') AS e) p
        CROSS JOIN LATERAL ${s}.value_at(v_args, p.path) AS f(found));
    END IF;
  END IF;
  IF p_unique ? 'period' THEN
    v_parts := v_parts || ${s}.unique_part(8, ((p_unique->>'period')::numeric)::bigint::text);
  END IF;
  RETURN substring(sha256(v_parts) FROM 1 FOR 16);
END $awa$`,
];
