-- When it was looked up which generation earlier databases of the feed announced last: before, nobody builds one here.
CREATE TABLE lineage (looked_up_at timestamptz NOT NULL);
