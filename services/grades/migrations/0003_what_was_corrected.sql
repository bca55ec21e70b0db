-- What a correction replaced: the mark that was told before, and by which event; null where nothing was corrected.
ALTER TABLE disclosures
    ADD COLUMN old_score numeric,
    ADD COLUMN old_code text,
    ADD COLUMN old_comment text,
    ADD COLUMN supersedes uuid;
