-- What `create_task` was made of when it checked payloads by their contracts, and named all that is wrong.
DROP FUNCTION
    taskmill.plain_text, taskmill.cut_text, taskmill.pointer_token, taskmill.counted, taskmill.fewest_digits,
    taskmill.number_text, taskmill.described, taskmill.add_violation, taskmill.add_violations,
    taskmill.json_kind, taskmill.keeps_rule, taskmill.check_weight, taskmill.check_value,
    taskmill.check_items, taskmill.check_fields, taskmill.check_name, taskmill.check_union,
    taskmill.contract_violations, taskmill.refuse, taskmill.refuse_violations, taskmill.refuse_json,
    taskmill.first_digit_place, taskmill.strict_number, taskmill.strict_value, taskmill.strict_json,
    taskmill.shared_characters, taskmill.nearest_name, taskmill.add_unknown_fields, taskmill.described_text,
    taskmill.shown, taskmill.described_time, taskmill.number_between, taskmill.emulation_violations,
    taskmill.retry_violations, taskmill.label_violations, taskmill.is_statuses, taskmill.is_free_header,
    taskmill.header_violations, taskmill.push_violations, taskmill.request_violations, taskmill.match_weight,
    taskmill.store_tasks, taskmill.store_callbacks;
