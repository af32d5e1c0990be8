-- Whether a route tells callers what its runs used, as Server-Timing.
ALTER TABLE routes ADD COLUMN timing boolean NOT NULL DEFAULT false;
