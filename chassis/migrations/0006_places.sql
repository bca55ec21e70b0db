-- How far a consumer has come in each partition: `next` is the offset it takes in next, kept with the effect itself.
CREATE TABLE places (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);
