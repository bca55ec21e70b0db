-- What a replay appended behind: a consumer passes over a key's events before `below`, since they come again from there on.
CREATE TABLE passed_over (
    consumer text NOT NULL,
    source text NOT NULL,
    key text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    below bigint NOT NULL,
    PRIMARY KEY (consumer, source, key, topic, partition)
);

-- The last sequence of a parked key that has a dead letter.
ALTER TABLE parked_keys ADD COLUMN sequence bigint;
