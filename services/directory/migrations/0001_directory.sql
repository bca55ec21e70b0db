-- Every school, group and person: one row, the whole document as it was last published.
CREATE TABLE entities (
    key text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    mentions text[] NOT NULL,
    version bigint NOT NULL,
    source text,
    stated text
);
COMMENT ON COLUMN entities.key IS 'record key: schools/<uai>, groups/<id>, people/<id>';
COMMENT ON COLUMN entities.mentions IS 'record keys the document points at: schools, groups, guardians, teachers';
COMMENT ON COLUMN entities.version IS 'sequence of the event that told this document; its entity tag';
COMMENT ON COLUMN entities.source IS 'the information system it was imported from; null when entered by hand';
COMMENT ON COLUMN entities.stated IS 'what that system said last, against which the next import is compared';
-- Look-ups from the other side: the members of a group, the children of a guardian.
CREATE INDEX entities_mentions ON entities USING gin (mentions);

-- How far the directory has come: the sequence of its last event.
CREATE TABLE directory_position (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL
);
INSERT INTO directory_position (sequence) VALUES (0);
