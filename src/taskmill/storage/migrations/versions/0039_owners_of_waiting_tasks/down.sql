ALTER TABLE taskmill.dispatch DROP COLUMN owner, DROP COLUMN bytes;
