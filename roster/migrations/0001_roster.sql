-- What decisions need of each directory document; names, addresses and numbers stay in the directory.
CREATE TABLE roster_documents (
    key text PRIMARY KEY,
    sequence bigint NOT NULL,
    facts jsonb NOT NULL
);

-- Which documents mention a person: the pupils they are tied to, the groups they teach.
CREATE TABLE roster_mentions (
    person uuid NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (person, key)
);
CREATE INDEX roster_mentions_key ON roster_mentions (key);

-- Pupils of a group; half-open periods, null is open.
CREATE TABLE roster_memberships (
    group_id uuid NOT NULL,
    pupil uuid NOT NULL,
    starts date,
    ends date
);
CREATE INDEX roster_memberships_group ON roster_memberships (group_id);
CREATE INDEX roster_memberships_pupil ON roster_memberships (pupil);

-- How far this replica has come in the directory's total order, and when it last heard of it.
CREATE TABLE roster_state (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL DEFAULT 0,
    heard_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO roster_state DEFAULT VALUES;
