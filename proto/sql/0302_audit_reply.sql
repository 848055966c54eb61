-- A creation of what holds no secret is one statement, which makes its reply too and so cannot seal
-- it: the record keeps it as it was given, a second sight of what `after` shows.

ALTER TABLE audit ADD COLUMN reply_text text;
