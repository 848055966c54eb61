-- A record of a few kilobytes stays whole in its page: compressing it and cutting it up cost more than
-- all else of writing it.

ALTER TABLE audit SET (toast_tuple_target = 8160);
