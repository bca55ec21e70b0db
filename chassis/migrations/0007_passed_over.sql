-- What a replay appended behind: a consumer passes over a key's events before `below`, since they come again from there on.
-- Once it has come to `until`, behind the last of them, all of them are known to it.
CREATE TABLE passed_over (
    consumer text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    below bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (consumer, source, key, topic, partition)
);

-- What an operator dropped: a consumer passes over a key's events up to this sequence, should they come again.
CREATE TABLE dropped (
    consumer text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, key)
);

-- The last sequence of a parked key that has a dead letter.
ALTER TABLE parked_keys ADD COLUMN sequence bigint;
