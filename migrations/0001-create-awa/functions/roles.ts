import { createdFunctions, grants } from '../access-rules.js';
import { OWN_NAMES } from './plan-settings.js';

/**
 * Roles. Nobody but the owner may do anything until it is granted: functions, which Postgres opens to everybody, are closed here.
 * grant_role() and revoke_role() run with the rights of whoever calls them, the owner.
 *
 * Whom something was granted to is kept in role_grants, so that a later version of the schema can grant them what it adds: it
 * replaces access_grants(), and then runs grantAgain().
 *
 * Locks: the advisory lock of the schema, as a migration does. Two GRANTs on one object would refuse each other.
 *
 * @param statements everything else that the version consists of
 */
export function roles(s: string, lockKey: string, statements: readonly string[]): string[] {
  const own = management(s, lockKey);
  const functions = [...createdFunctions(s, [...statements, ...own]), 'access_grants'];
  const rows = grants(s, functions).map(
    ({ access, privileges, object }) => `('${access}', '${privileges}', $g$${object}$g$)`,
  );
  return [
    ...own,
    `CREATE FUNCTION ${s}.access_grants() RETURNS TABLE (access text, privileges text, object text) LANGUAGE sql IMMUTABLE AS $awa$
  VALUES ${rows.join(',\n    ')}
$awa$`,
    `REVOKE ALL ON FUNCTION ${functions.map((name) => `${s}.${name}`).join(', ')} FROM PUBLIC`,
  ];
}

/** For later versions: grants everybody what their access means by now, but for roles that are gone or were shut out by hand. */
export const grantAgain = (
  s: string,
): string => `SELECT ${s}.grant_role(r.role_name, r.access) FROM ${s}.role_grants r
JOIN pg_catalog.pg_roles g ON g.rolname = r.role_name
WHERE pg_catalog.has_schema_privilege(g.oid, (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = '${s}.role_grants'::regclass), 'USAGE')`;

const management = (s: string, lockKey: string): string[] => [
  `CREATE TABLE ${s}.role_grants (
    role_name name NOT NULL,
    access text NOT NULL CHECK (access IN ('runtime', 'producer', 'reader')),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (role_name, access)
  )`,

  // Granting twice is legal, and grants what a later version has added. Several accesses of one role add up.
  `CREATE FUNCTION ${s}.grant_role(p_role text, p_access text) RETURNS void LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_grant record;
BEGIN
  IF p_access IS NULL OR p_access NOT IN ('runtime', 'producer', 'reader') THEN
    RAISE EXCEPTION 'access must be runtime, producer or reader, not %', coalesce(quote_literal(p_access), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_role) THEN
    RAISE EXCEPTION 'role % does not exist', coalesce(quote_ident(p_role), 'NULL')
      USING ERRCODE = 'undefined_object', HINT = 'Roles are made by CREATE ROLE. Pass the name as it is, without quotes of SQL.';
  END IF;
  PERFORM pg_advisory_xact_lock(${lockKey});
  FOR v_grant IN SELECT * FROM ${s}.access_grants() g WHERE g.access = p_access LOOP
    EXECUTE format('GRANT %s ON %s TO %I', v_grant.privileges, v_grant.object, p_role);
  END LOOP;
  -- For lack of the right to grant, GRANT only warns.
  IF NOT has_schema_privilege(p_role, (SELECT c.relnamespace FROM pg_class c WHERE c.oid = '${s}.role_grants'::regclass), 'USAGE') THEN
    RAISE EXCEPTION 'the schema is not yours: its owner has to GRANT USAGE ON SCHEMA % TO %', '${s}', quote_ident(p_role)
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO ${s}.role_grants (role_name, access) VALUES (p_role, p_access) ON CONFLICT DO NOTHING;
END $awa$`,

  // Takes one access from a role, or all it has. What another access of it grants as well, it keeps. A role that is gone is forgotten.
  `CREATE FUNCTION ${s}.revoke_role(p_role text, p_access text DEFAULT NULL) RETURNS void LANGUAGE plpgsql
${OWN_NAMES} AS $awa$
DECLARE
  v_object text;
BEGIN
  PERFORM pg_advisory_xact_lock(${lockKey});
  DELETE FROM ${s}.role_grants r WHERE r.role_name = p_role AND (p_access IS NULL OR r.access = p_access);
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_role) THEN
    RETURN;
  END IF;
  FOR v_object IN SELECT DISTINCT g.object FROM ${s}.access_grants() g LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %I', v_object, p_role);
  END LOOP;
  PERFORM ${s}.grant_role(p_role, r.access) FROM ${s}.role_grants r WHERE r.role_name = p_role;
END $awa$`,
];
