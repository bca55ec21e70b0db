-- Each generation of the feed: one serves, one more may be building. `position` is how far its history has come in its
-- topic, `items` how many stand in it; one that is retired loses its rows and is gone then.
CREATE TABLE generations (
    generation integer PRIMARY KEY CHECK (generation BETWEEN 1 AND 65535),
    state text NOT NULL CHECK (state IN ('building', 'serving', 'retired', 'gone')),
    position bigint NOT NULL DEFAULT -1,
    items bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX generations_one ON generations (state) WHERE state IN ('building', 'serving');
INSERT INTO generations (generation, state, position, items)
SELECT generation, 'serving', position, (SELECT count(*) FROM items WHERE NOT removed) FROM feed_state;
DROP TABLE feed_state;

-- Generations stand beside one another.
UPDATE items SET generation = (SELECT generation FROM generations);
ALTER TABLE items DROP CONSTRAINT items_pkey, ADD PRIMARY KEY (generation, id);
DROP INDEX items_history, items_catch_up;
CREATE INDEX items_history ON items (generation, scope, published_at DESC, id DESC) WHERE NOT removed;
CREATE INDEX items_catch_up ON items (generation, scope, position);
