#!/usr/bin/env bash
# What the members of every crew do, by the payload's "do"; see python_worker.py, which does the same.
payload=$(cat)
case $payload in
  *'"do":"fail"'*) echo 'no such customer' >&2 && exit 1 ;;
  *'"do":"fail once"'*) [ "$TASK_ATTEMPT" -gt 1 ] || { echo 'not yet' >&2 && exit 1; } ;;
  *'"do":"fail for good"'*) echo 'never' >&2 && exit 65 ;;
  *'"do":"hang"'*) sleep 60 ;;
  *'"do":"hold first"'*)
    if [ "$TASK_CLAIM_NO" = 1 ]; then
      until [ -e "$WORK_FOLDER/$TASK_TYPE.go" ]; do sleep 0.05; done
    fi
    ;;
  *'"do":"progress"'*)
    echo '0.25 a "quarter"' >&3
    until [ -e "$WORK_FOLDER/$TASK_TYPE.go" ]; do sleep 0.05; done
    echo '0.75 more' >&3
    ;;
esac
printf 'claim %s of "%s"' "$TASK_CLAIM_NO" "$TASK_TYPE"
