-- Who may sign in: a person of the directory, or an operator of the platform (person is null).
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    login text NOT NULL,
    folded text NOT NULL UNIQUE,
    password_hash text,
    person uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX accounts_person ON accounts (person);

-- Sessions of browsers and tokens of programs: opaque secrets, kept as their SHA-256 alone.
CREATE TABLE credentials (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('session', 'token')),
    digest bytea NOT NULL UNIQUE,
    account uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX credentials_account ON credentials (account);
CREATE INDEX credentials_expires_at ON credentials (expires_at);

-- Attempts to sign in, by the digest of an account's name or of an address, in the current window.
CREATE TABLE sign_in_attempts (
    subject bytea PRIMARY KEY,
    attempts integer NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_until ON sign_in_attempts (until);

-- A revoked credential is told to every gateway process, however it was revoked.
CREATE FUNCTION tell_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('preau_revoked', OLD.id::text);
    RETURN OLD;
END
$$;
CREATE TRIGGER credentials_revoked AFTER DELETE ON credentials FOR EACH ROW EXECUTE FUNCTION tell_revoked();
