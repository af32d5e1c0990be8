-- Dead letters say what they led to and what they came of, and are looked through whatever was decided over them.

ALTER TABLE dead_letters
    ADD COLUMN redriven_as uuid, -- the event its trigger got again
    ADD COLUMN redrives uuid; -- the letter whose redrive failed again
CREATE INDEX dead_letters_failed ON dead_letters (app_id, failed_at, id);
