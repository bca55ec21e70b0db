-- What the directory knows of people that a message needs; erased with the person.
CREATE TABLE contacts (
    person uuid PRIMARY KEY,
    given_name text NOT NULL,
    email text
);

-- What a person chose; no row is the default.
CREATE TABLE preferences (
    person uuid PRIMARY KEY,
    language text NOT NULL,
    email_enabled boolean NOT NULL,
    muted text[] NOT NULL
);

-- One message a row, as ids and the event it tells: no words, names or addresses.
CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fact uuid NOT NULL,
    person uuid NOT NULL,
    channel text NOT NULL,
    category text NOT NULL,
    pupil uuid NOT NULL,
    event uuid NOT NULL,
    event_type text NOT NULL,
    event_data bytea NOT NULL,
    fact_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'cancelled')),
    says text,
    reason text,
    message_id uuid,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    lease uuid,
    done_at timestamptz
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
-- A thread has one message that has not left, and one that is leaving.
CREATE UNIQUE INDEX messages_queued ON messages (fact, person, channel) WHERE state = 'queued';
CREATE UNIQUE INDEX messages_sending ON messages (fact, person, channel) WHERE state = 'sending';
CREATE INDEX messages_due ON messages (due_at) WHERE state = 'queued';
CREATE INDEX messages_leased ON messages (leased_until) WHERE state = 'sending';
CREATE INDEX messages_thread ON messages (fact, person, channel, id DESC);
CREATE INDEX messages_person ON messages (person, id DESC);
CREATE INDEX messages_done ON messages (done_at) WHERE done_at IS NOT NULL;
