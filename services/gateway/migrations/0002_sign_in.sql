-- Who has failed often has to wait, each time for longer: the moment from which another attempt is looked at.
ALTER TABLE sign_in_attempts ADD COLUMN free_at timestamptz NOT NULL DEFAULT '-infinity';

-- Whom a provider of OpenID Connect knows under (issuer, subject), and which account that is here.
CREATE TABLE external_identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX external_identities_account ON external_identities (account);

-- Sessions that a provider vouched for: how it names them, so that it can end them, and what ends its own.
CREATE TABLE external_sessions (
    credential uuid PRIMARY KEY REFERENCES credentials ON DELETE CASCADE,
    issuer text NOT NULL,
    subject text NOT NULL,
    sid text,
    id_token text
);
CREATE INDEX external_sessions_subject ON external_sessions (issuer, subject);
CREATE INDEX external_sessions_sid ON external_sessions (issuer, sid);

-- What may be used once: the state of a sign-in, the token of a logout.
CREATE TABLE used_once (
    digest bytea PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE INDEX used_once_until ON used_once (until);

-- One code a person, kept as its keyed digest alone; a new one replaces the former.
CREATE TABLE activation_codes (
    person uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    made_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX activation_codes_expires_at ON activation_codes (expires_at);
