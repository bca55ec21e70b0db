-- Something that is marked. Due times are wall time of the school's zone; null is due at publication.
CREATE TABLE assessments (
    id uuid PRIMARY KEY,
    uai text NOT NULL,
    school_year integer NOT NULL,
    group_id uuid NOT NULL,
    subject_code text NOT NULL,
    subject_label text NOT NULL,
    title text NOT NULL,
    held_on date NOT NULL,
    term uuid NOT NULL,
    out_of numeric NOT NULL CHECK (out_of > 0),
    coefficient numeric NOT NULL CHECK (coefficient >= 0),
    optional boolean NOT NULL,
    bonus boolean NOT NULL,
    pupils_due timestamp,
    guardians_due timestamp,
    zone text NOT NULL,
    published_at timestamptz,
    withdrawn_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX assessments_group ON assessments (group_id, held_on DESC, id);

-- The mark that stands: a score or a code, never both.
CREATE TABLE marks (
    assessment uuid NOT NULL REFERENCES assessments,
    pupil uuid NOT NULL,
    score numeric CHECK (score >= 0),
    code text,
    comment text,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (assessment, pupil),
    CHECK ((score IS NULL) <> (code IS NULL))
);

-- Who changed a mark, when, from what to what, and why; null old is the first, null new a withdrawal.
CREATE TABLE mark_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    assessment uuid NOT NULL,
    pupil uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    old jsonb,
    new jsonb,
    reason text
);
CREATE INDEX mark_changes_mark ON mark_changes (assessment, pupil, id);

-- What each audience has been told, and by which event: the next event corrects or withdraws that one.
CREATE TABLE disclosures (
    assessment uuid NOT NULL REFERENCES assessments,
    pupil uuid NOT NULL,
    audience text NOT NULL,
    score numeric,
    code text,
    comment text,
    assessment_version integer NOT NULL,
    event uuid NOT NULL,
    first_published_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (assessment, pupil, audience)
);
CREATE INDEX disclosures_pupil ON disclosures (pupil, audience, first_published_at DESC);
