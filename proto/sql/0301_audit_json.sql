-- A record's rows as json: they are written as text that is there already and read by people, so
-- that building a tree of each and sorting its keys cost a tenth of a creation. Rewriting all records
-- would keep every command waiting: those of before stay where they are, under other names. Builds
-- before write into the new columns, whose names they know.

ALTER TABLE audit RENAME COLUMN before TO before_tree;
ALTER TABLE audit RENAME COLUMN after TO after_tree;
ALTER TABLE audit ADD COLUMN before json, ADD COLUMN after json;
