-- What stopped this replica: what changed since may be a right withdrawn, so nothing is sent by what it holds.
ALTER TABLE roster_state ADD COLUMN stopped_by text;
