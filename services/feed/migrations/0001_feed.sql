-- Each item as it stands: `position` is the offset of the feed topic at which it last changed.
CREATE TABLE items (
    id uuid PRIMARY KEY,
    scope text NOT NULL,
    uai text NOT NULL,
    category text NOT NULL,
    published_at timestamptz NOT NULL,
    generation integer NOT NULL,
    position bigint NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    body bytea NOT NULL
);
CREATE INDEX items_history ON items (scope, published_at DESC, id DESC) WHERE NOT removed;
CREATE INDEX items_catch_up ON items (scope, position);

-- How far the history has come in the feed topic.
CREATE TABLE feed_state (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    generation integer NOT NULL DEFAULT 1,
    position bigint NOT NULL DEFAULT -1
);
INSERT INTO feed_state DEFAULT VALUES;
