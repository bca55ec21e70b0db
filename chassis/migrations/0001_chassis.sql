-- Events that a committed transaction owes to Kafka; the relay sends them by id and deletes what was acknowledged.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    headers text NOT NULL,
    value bytea,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- The last sequence seen of each source and key: an event not newer is a repeat.
CREATE TABLE repeat_guard (
    consumer text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (consumer, source, key)
) WITH (fillfactor = 80);

-- Keys whose events wait in the dead-letter topic, until an operator replays or discards them.
CREATE TABLE parked_keys (
    consumer text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    reason text NOT NULL,
    events bigint NOT NULL DEFAULT 1,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, key)
);

-- Answers of writes that create, kept a day, so that a repeated request gets the same answer.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- What is due later: wall time of a zone, so that a change of the zone's rules moves the moment and not the clock face.
CREATE TABLE timers (
    name text NOT NULL,
    subject text NOT NULL,
    wall timestamp NOT NULL,
    zone text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (name, subject)
);
CREATE INDEX timers_wall ON timers (wall);
