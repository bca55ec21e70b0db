-- Of the event by which an item stands as it does: one that is not newer changes nothing.
ALTER TABLE items ADD COLUMN sequence bigint NOT NULL DEFAULT -1;
