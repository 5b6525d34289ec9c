DROP FUNCTION
    taskmill.create_task, taskmill.request_violations, taskmill.ring_if_quiet, taskmill.task_of_key,
    taskmill.ensure_queue, taskmill.store_callbacks, taskmill.store_tasks, taskmill.new_task_id,
    taskmill.push_violations, taskmill.header_violations, taskmill.is_free_header, taskmill.is_statuses,
    taskmill.url_origin, taskmill.ipv6_text, taskmill.url_words, taskmill.label_violations,
    taskmill.retry_violations, taskmill.emulation_violations, taskmill.number_between, taskmill.described_time,
    taskmill.shown, taskmill.described_text, taskmill.add_unknown_fields, taskmill.nearest_name,
    taskmill.shared_characters, taskmill.strict_json, taskmill.strict_value, taskmill.strict_number,
    taskmill.first_digit_place, taskmill.refuse_json, taskmill.refuse_violations, taskmill.refuse,
    taskmill.contract_violations, taskmill.check_union, taskmill.check_name, taskmill.check_fields,
    taskmill.check_items, taskmill.check_value, taskmill.check_weight, taskmill.keeps_rule, taskmill.json_kind,
    taskmill.add_violations, taskmill.add_violation, taskmill.described, taskmill.number_text,
    taskmill.fewest_digits, taskmill.counted, taskmill.pointer_token, taskmill.cut_text, taskmill.plain_text;

DROP TABLE taskmill.door_limit, taskmill.webhook_delivery, taskmill.task_callback, taskmill.webhook,
    taskmill.failure, taskmill.failure_delta,
    taskmill.task_minute, taskmill.task_minute_delta, taskmill.task_count,
    taskmill.contract_revision, taskmill.task_type, taskmill.type_contract,
    taskmill.rejection, taskmill.queue, taskmill.idempotency,
    taskmill.feed_delivery, taskmill.change_batch,
    taskmill.task_progress, taskmill.task_log, taskmill.task_event,
    taskmill.lease, taskmill.dispatch, taskmill.task;

DROP FUNCTION taskmill.note_failure, taskmill.error_shape, taskmill.packed_bucket, taskmill.duration_bucket,
    taskmill.refuse_birth, taskmill.refuse_transition;

DROP SEQUENCE taskmill.task_number;
