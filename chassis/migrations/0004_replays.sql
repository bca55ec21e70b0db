-- What an operator asked to have published again: how far each has come. `place` is where the walk stands (null: at its
-- beginning), `last_event` the greatest outbox id it drew.
CREATE TABLE replays (
    name text PRIMARY KEY,
    place text,
    facts bigint NOT NULL DEFAULT 0,
    last_event bigint NOT NULL DEFAULT 0,
    walked boolean NOT NULL DEFAULT false,
    begun_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
