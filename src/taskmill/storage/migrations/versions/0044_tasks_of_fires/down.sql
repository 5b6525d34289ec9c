DROP INDEX taskmill.schedule_fire_task;
