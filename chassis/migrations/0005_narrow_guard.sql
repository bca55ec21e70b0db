-- A key is guarded under a digest of its source and itself: a million of them fit in little memory.
ALTER TABLE repeat_guard RENAME TO wide_guard;
ALTER TABLE wide_guard RENAME CONSTRAINT repeat_guard_pkey TO wide_guard_pkey;
CREATE TABLE repeat_guard (
    consumer text NOT NULL,
    name uuid NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (consumer, name)
) WITH (fillfactor = 90);
INSERT INTO repeat_guard (consumer, name, sequence)
SELECT consumer, encode(substring(sha256(convert_to(source || ' ' || key, 'UTF8')) FOR 16), 'hex')::uuid, sequence
FROM wide_guard;
DROP TABLE wide_guard;
