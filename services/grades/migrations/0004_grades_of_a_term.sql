-- The grades of a term: what a pupil was told, from the index alone and in the order of pages, beside the term's assessments.
DROP INDEX disclosures_pupil;
CREATE INDEX disclosures_pupil ON disclosures (pupil, audience, first_published_at DESC, assessment DESC);
CREATE INDEX assessments_term ON assessments (term, id);
