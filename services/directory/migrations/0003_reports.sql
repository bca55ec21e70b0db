-- The very same set again is answered from what it brought the last time.
ALTER TABLE sources ADD COLUMN report text;
COMMENT ON COLUMN sources.report IS 'the report (JSON) of the package applied last; null where its rows have changed since';
