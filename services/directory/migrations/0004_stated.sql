-- Mostly a document is just what its source says: that text is kept once.
UPDATE entities SET stated = NULL WHERE stated = body;
COMMENT ON COLUMN entities.stated IS 'what that system said last, against which the next import is compared; null with a source: the document itself';
