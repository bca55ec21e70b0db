-- What is asked of the audit trail: a time, who, about whom, which action, what was refused; each newest first.
CREATE INDEX audit_entries_at ON audit_entries (uai, at);
CREATE INDEX audit_entries_caller ON audit_entries (uai, caller, id DESC);
CREATE INDEX audit_entries_object ON audit_entries (uai, object, id DESC);
CREATE INDEX audit_entries_action ON audit_entries (uai, action, id DESC);
CREATE INDEX audit_entries_refused ON audit_entries (uai, id DESC) WHERE outcome = 'refused';
