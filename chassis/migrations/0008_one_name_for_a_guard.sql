-- A guarded key's name takes its consumer in: a row and its index hold a name and a sequence, and nothing else.
ALTER TABLE repeat_guard RENAME TO guard_by_consumer;
ALTER TABLE guard_by_consumer RENAME CONSTRAINT repeat_guard_pkey TO guard_by_consumer_pkey;
CREATE TABLE repeat_guard (name uuid PRIMARY KEY, sequence bigint NOT NULL) WITH (fillfactor = 90);
INSERT INTO repeat_guard (name, sequence)
SELECT encode(substring(sha256(convert_to(consumer || ' ' || replace(name::text, '-', ''), 'UTF8')) FOR 16), 'hex')::uuid,
       sequence
FROM guard_by_consumer;
DROP TABLE guard_by_consumer;
