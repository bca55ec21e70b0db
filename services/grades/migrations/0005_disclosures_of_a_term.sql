-- The grades of a term are found by an index of their own, however many years a pupil has been told grades.
ALTER TABLE disclosures ADD COLUMN term uuid;
UPDATE disclosures SET term = assessments.term FROM assessments WHERE assessments.id = disclosures.assessment;
CREATE INDEX disclosures_term ON disclosures (pupil, audience, term, first_published_at DESC, assessment DESC);
DROP INDEX assessments_term;
