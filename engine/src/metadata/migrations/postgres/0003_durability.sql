-- When writes to a bucket are answered: 'strict', once they are durable, or 'relaxed', a moment before.
ALTER TABLE buckets ADD COLUMN durability TEXT NOT NULL DEFAULT 'strict';
