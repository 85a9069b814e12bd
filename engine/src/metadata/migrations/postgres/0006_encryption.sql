-- What keeps the encrypted parts of one object apart, where they are encrypted.
ALTER TABLE upload_parts ADD COLUMN nonce BYTEA;
ALTER TABLE pieces ADD COLUMN nonce BYTEA;
