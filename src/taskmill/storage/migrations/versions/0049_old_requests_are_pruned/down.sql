DROP INDEX taskmill.schedule_request_refused;
