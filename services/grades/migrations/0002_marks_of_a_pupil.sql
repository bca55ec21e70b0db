-- Staff read the marks of one pupil over all assessments.
CREATE INDEX marks_pupil ON marks (pupil);
