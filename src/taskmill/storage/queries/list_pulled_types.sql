-- Purpose: the types that workers have pulled over HTTP lately. $1 double precision: for how many seconds that holds.
-- Reads only; reads all of pulled_type, of which there are 1,000 at most.
SELECT name FROM taskmill.pulled_type WHERE pulled_at > now() - make_interval(secs => $1)
