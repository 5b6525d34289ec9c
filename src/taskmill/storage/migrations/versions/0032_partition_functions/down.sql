DROP FUNCTION
    taskmill.drop_week, taskmill.make_partition_with_rows, taskmill.make_partition, taskmill.lock_partitions,
    taskmill.partitions_of_week, taskmill.first_id_of_week;
