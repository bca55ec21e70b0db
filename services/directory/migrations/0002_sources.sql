-- What each information system said last, so that its delta files can be laid over it.
CREATE TABLE sources (
    source text PRIMARY KEY,
    revision bigint NOT NULL,
    digest text NOT NULL,
    authority text NOT NULL,
    newest timestamptz
);
COMMENT ON COLUMN sources.revision IS 'grows with every change of its rows: who read an older one must read again';
COMMENT ON COLUMN sources.digest IS 'SHA-256 of the package applied last';
COMMENT ON COLUMN sources.authority IS 'family roles that carried parental authority in the import applied last';
COMMENT ON COLUMN sources.newest IS 'newest dateLastModified of the delta rows applied so far';

CREATE TABLE source_rows (
    source text NOT NULL REFERENCES sources ON DELETE CASCADE,
    file text NOT NULL,
    part integer NOT NULL,
    rows bytea NOT NULL,
    PRIMARY KEY (source, file, part)
);
COMMENT ON COLUMN source_rows.rows IS 'some thousand rows, the columns the directory reads, as deflated JSON';
