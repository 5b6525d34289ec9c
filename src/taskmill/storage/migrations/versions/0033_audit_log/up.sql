-- What was asked for, written before it is done. Ids are UUIDv7 of PostgreSQL's clock, `at` is their time. The program
-- makes the partitions: a month each.
CREATE TABLE taskmill.audit_entry (
    id uuid NOT NULL PRIMARY KEY,
    at timestamptz NOT NULL,
    action text NOT NULL,
    actor_kind text NOT NULL,
    actor_name text,
    key_id text,
    session text,
    address text,
    request_id text,
    target_type text,
    target_id text,
    details json NOT NULL,
    CONSTRAINT audit_entry_details CHECK (octet_length(details::text) <= 32768)
) PARTITION BY RANGE (id);

CREATE INDEX audit_entry_action ON taskmill.audit_entry (action, id);

CREATE INDEX audit_entry_actor ON taskmill.audit_entry (actor_name, id) WHERE actor_name IS NOT NULL;

CREATE INDEX audit_entry_address ON taskmill.audit_entry (address, id) WHERE address IS NOT NULL;

CREATE INDEX audit_entry_target ON taskmill.audit_entry (target_id, id) WHERE target_id IS NOT NULL;

-- How it ended. Without a row that is not known.
CREATE TABLE taskmill.audit_outcome (
    entry_id uuid NOT NULL PRIMARY KEY,
    at timestamptz NOT NULL,
    outcome text NOT NULL,
    reason text,
    details json NOT NULL,
    CONSTRAINT audit_outcome_outcome CHECK (outcome IN ('done', 'refused', 'failed')),
    CONSTRAINT audit_outcome_details CHECK (octet_length(details::text) <= 32768)
) PARTITION BY RANGE (entry_id);

CREATE FUNCTION taskmill.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

REVOKE ALL ON FUNCTION taskmill.refuse_audit_change FROM PUBLIC;

CREATE TRIGGER audit_entry_is_final BEFORE UPDATE OR DELETE ON taskmill.audit_entry
FOR EACH ROW EXECUTE FUNCTION taskmill.refuse_audit_change();

CREATE TRIGGER audit_outcome_is_final BEFORE UPDATE OR DELETE ON taskmill.audit_outcome
FOR EACH ROW EXECUTE FUNCTION taskmill.refuse_audit_change();

CREATE TRIGGER audit_entry_is_not_emptied BEFORE TRUNCATE ON taskmill.audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION taskmill.refuse_audit_change();

CREATE TRIGGER audit_outcome_is_not_emptied BEFORE TRUNCATE ON taskmill.audit_outcome
FOR EACH STATEMENT EXECUTE FUNCTION taskmill.refuse_audit_change();

-- The partitions of a month, in the order in which they are locked. Not to_regclass(): it caches that a name is missing
-- beyond the wait for a lock.
CREATE FUNCTION taskmill.partitions_of_month(day date) RETURNS text[]
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(array_agg(parent || suffix ORDER BY place), '{}')
    FROM
        unnest(ARRAY['audit_entry', 'audit_outcome']) WITH ORDINALITY AS parents (parent, place),
        to_char(day, '"_"YYYY"m"MM') AS suffix
    WHERE EXISTS (
        SELECT FROM pg_catalog.pg_class
        WHERE relname = parent || suffix AND relnamespace = 'taskmill'::regnamespace
    )
$$;

-- These run as their owner, and do no more than their names say: who may execute them owns no table.
--
-- The lock under which the audit log's partitions change: its tables, and the partitions of the month that a day is in.
CREATE FUNCTION taskmill.lock_audit_log(day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.audit_log'));
    LOCK TABLE ONLY taskmill.audit_entry, ONLY taskmill.audit_outcome IN ACCESS EXCLUSIVE MODE;
    FOREACH child IN ARRAY taskmill.partitions_of_month(day) LOOP
        EXECUTE format('LOCK TABLE taskmill.%I IN ACCESS EXCLUSIVE MODE', child);
    END LOOP;
END
$$;

-- Makes the partitions of a month that are missing. Triggers on TRUNCATE are not inherited.
CREATE FUNCTION taskmill.make_audit_month(day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    begins date := date_trunc('month', day::timestamp)::date;
    ends date := begins + interval '1 month';
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['audit_entry', 'audit_outcome'] LOOP
        child := parent || to_char(day, '"_"YYYY"m"MM');
        CONTINUE WHEN child = ANY (taskmill.partitions_of_month(day));
        EXECUTE format(
            'CREATE TABLE taskmill.%I PARTITION OF taskmill.%I FOR VALUES FROM (%L) TO (%L)', child, parent,
            rpad(lpad(to_hex((begins - date '1970-01-01')::bigint * 86400000), 12, '0'), 32, '0')::uuid,
            rpad(lpad(to_hex((ends - date '1970-01-01')::bigint * 86400000), 12, '0'), 32, '0')::uuid
        );
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE TRUNCATE ON taskmill.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION taskmill.refuse_audit_change()', parent || '_is_not_emptied', child
        );
    END LOOP;
END
$$;

-- Drops the partitions of a month that is over. Call it after lock_audit_log, in its transaction.
CREATE FUNCTION taskmill.drop_audit_month(day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    children text[] := taskmill.partitions_of_month(day);
    child text;
BEGIN
    IF children = '{}' THEN
        RAISE EXCEPTION 'the month of % has no partitions', day USING ERRCODE = 'undefined_table';
    END IF;
    IF date_trunc('month', day::timestamp) + interval '1 month' > clock_timestamp() AT TIME ZONE 'UTC' THEN
        RAISE EXCEPTION 'the month of % is not over', day USING ERRCODE = 'restrict_violation';
    END IF;
    FOREACH child IN ARRAY children LOOP
        EXECUTE format('DROP TABLE taskmill.%I', child);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION
    taskmill.partitions_of_month, taskmill.lock_audit_log, taskmill.make_audit_month, taskmill.drop_audit_month
FROM PUBLIC;
