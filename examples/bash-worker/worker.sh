#!/usr/bin/env bash
# A worker for Taskmill in bash and curl: it takes tasks of some types, and runs a command for each, one at a time.
#
#   worker.sh --type thumbnail [options] -- command [argument…]
#
# The command gets the task's payload as JSON on its standard input, and in its environment TASK_ID, TASK_TYPE,
# TASK_QUEUE, TASK_ATTEMPT, TASK_MAX_ATTEMPTS, TASK_CLAIM_NO and TASK_LEASE_ID. How it ends is how the task ends:
#
#   status 0     success; what it wrote to its standard output is the result (a text, or with --json any JSON)
#   status 65    a permanent failure: no further attempt can help
#   other        a failure, tried again as the task's retry policy says
#
# The end of what it wrote to its standard error is the error's message. A line "0.4 page 4 of 10" on its file
# descriptor 3 is progress. When its task is cancelled, lost or out of time, the command and its children get SIGTERM,
# and SIGKILL when they are still there after --patience seconds.
#
# The worker ends with SIGTERM or SIGINT: a command that runs has --grace seconds to end, then its task is handed back,
# which costs nothing.
#
# It needs bash 4.4, curl 7.75, awk, sed, tr and iconv; no JSON tool.

set -u

stopping='' waiting=''
# Whoever waits for a task hangs up; the server then gives back what it may have claimed in this moment.
trap 'stopping=yes; [ -z "$waiting" ] || kill "$waiting" 2>/dev/null' TERM INT

usage="usage: worker.sh --type TYPE [--type TYPE…] [--queue QUEUE…] [--url URL] [--name NAME] [--ttl S] [--wait S]
                 [--grace S] [--patience S] [--json] -- command [argument…]"

url=${TASKMILL_URL:-http://127.0.0.1:8000}
name=$(uname -n)-$$
ttl=30 wait=30 grace=10 patience=5
types='' queues='' json_result=''

while [ $# -gt 0 ]; do
  case $1 in
    --type) types="$types${types:+,}\"$2\"" && shift 2 ;;
    --queue) queues="$queues${queues:+,}\"$2\"" && shift 2 ;;
    --url) url=$2 && shift 2 ;;
    --name) name=$2 && shift 2 ;;
    --ttl) ttl=$2 && shift 2 ;;
    --wait) wait=$2 && shift 2 ;;
    --grace) grace=$2 && shift 2 ;;
    --patience) patience=$2 && shift 2 ;;
    --json) json_result=yes && shift ;;
    --) shift && break ;;
    *) echo "$usage" >&2 && exit 64 ;;
  esac
done
if [ -z "$types" ] || [ $# -eq 0 ]; then
  echo "$usage" >&2
  exit 64
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

log() { printf '%s %s %s\n' "$(date -u +%H:%M:%S)" "$name" "$*" >&2; }

# Waits for so many seconds; a signal ends it.
pause() { sleep "$1" & wait $!; }

# request METHOD PATH LONGEST_S [BODY]: sets $status (000: no answer, or not all of it); the answer is in $work/answer. It
# runs beside the shell, so that a signal is heard meanwhile.
request() {
  local body=() curl_pid trouble
  if [ $# -gt 3 ]; then
    printf '%s' "$4" >"$work/body"
    body=(-H 'Content-Type: application/json' --data-binary "@$work/body")
  fi
  : >"$work/answer"
  curl -sS -X "$1" --connect-timeout 5 --max-time "$3" -o "$work/answer" -w '%{http_code} %{exitcode}' \
    "${body[@]}" "$url$2" >"$work/status" 2>"$work/trouble" &
  curl_pid=$!
  if [ "$2" = /leases ]; then
    waiting=$curl_pid
    # The signal may have come before there was anything to end.
    [ -z "$stopping" ] || kill "$curl_pid" 2>/dev/null
  fi
  # A signal ends the wait, but not the request, unless its trap does.
  while kill -0 "$curl_pid" 2>/dev/null; do wait "$curl_pid"; done
  waiting=''
  read -r status trouble <"$work/status"
  # An answer that was cut off has a status, too.
  [ "${trouble:-1}" = 0 ] || status=000
}

# member NAME: the JSON of a member of the object on standard input, as it is; nothing when there is none.
member() {
  LC_ALL=C awk -v name="$1" '
    { text = text $0 }
    END {
      size = length(text)
      for (i = 1; i <= size; i++) {
        c = substr(text, i, 1)
        if (in_text) {
          if (c == "\\") i++
          else if (c == "\"") { in_text = 0; if (depth == 1) last = substr(text, from, i - from) }
        }
        else if (c == "\"") { in_text = 1; from = i + 1 }
        else if (c == "{" || c == "[") depth++
        else if (c == "}" || c == "]") { if (--depth == 0 && start) break }
        else if (depth == 1 && c == ":" && !start && last == name) start = i + 1
        else if (depth == 1 && c == "," && start) break
      }
      if (start) print substr(text, start, i - start)
    }'
}

# A member that is a text without escapes, or a number.
plain() { member "$1" | tr -d '"'; }

# Makes a JSON text of what comes, without what JSON or PostgreSQL can't hold.
json_text() {
  tr -d '\000-\010\013\014\016-\037\177' | iconv -c -f UTF-8 -t UTF-8 |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e $'s/\t/\\\\t/g' -e $'s/\r/\\\\r/g' |
    awk 'BEGIN { printf "\"" } { printf "%s%s", (NR > 1 ? "\\n" : ""), $0 } END { printf "\"" }'
}

# Asks for one task; true when there is one, in $work/task.
take() {
  local asked_at=$SECONDS tasks
  request POST /leases $((wait + 10)) \
    "{\"worker\":\"$name\",\"types\":[$types],\"queues\":[$queues],\"limit\":1,\"ttl_s\":$ttl,\"wait_s\":$wait}"
  case $status in
    201) ;;
    204) return 1 ;;
    000 | 5??)
      [ -n "$stopping" ] || log "no answer ($status): $(head -c 300 "$work/trouble")"
      [ -n "$stopping" ] || pause 1
      return 1
      ;;
    *) log "refused ($status): $(cat "$work/answer")" && exit 1 ;;
  esac
  lease=$(plain lease_id <"$work/answer")
  lease_ttl=$(plain ttl_s <"$work/answer") && lease_ttl=${lease_ttl%.*}
  # Counted from before the request: the server can only have set a later end.
  lease_ends=$((asked_at + lease_ttl))
  tasks=$(member tasks <"$work/answer")
  tasks=${tasks#\[}
  printf '%s' "${tasks%\]}" >"$work/task"
  id=$(plain id <"$work/task")
  claim_no=$(plain claim_no <"$work/task")
  fence="\"lease_id\":\"$lease\",\"claim_no\":$claim_no"
}

# Says that we live; sets $order to what the answer means for the command: go, cancel or lost.
renew() {
  local asked_at=$SECONDS
  request POST "/leases/$lease/renew" 5 '{}'
  case $status in
    200)
      lease_ends=$((asked_at + lease_ttl))
      case $(member tasks <"$work/answer") in *"$id"*) ;; *) order=lost ;; esac
      case $(member cancel <"$work/answer") in *"$id"*) [ "$order" = lost ] || order=cancel ;; esac
      ;;
    404 | 409) order=lost ;;
    *) log "not renewed ($status): $(head -c 300 "$work/trouble")" ;;
  esac
  # What was cut off for so long is somebody else's by now.
  [ "$SECONDS" -lt "$lease_ends" ] || order=lost
}

# Passes on the last whole line of progress, if there is a new one.
report() {
  local line share message
  line=$(tail -n 1 "$work/progress")
  [ "$line" != "$told" ] || return 0
  told=$line
  share=${line%% *}
  message=${line#"$share"}
  message=$(printf '%s' "${message# }" | head -c 400 | json_text)
  case $share in
    0 | 1 | 0.* | 1.0*) request POST "/tasks/$id/progress" 5 "{$fence,\"share\":$share,\"message\":$message}" ;;
    *) log "not progress: $line" ;;
  esac
  [ "$status" != 409 ] || order=lost
}

# Stops the command, and all that it has started.
stop_command() {
  local give_up_at=$((SECONDS + patience))
  kill -TERM -- "-$command" 2>/dev/null
  while kill -0 -- "-$command" 2>/dev/null && [ "$SECONDS" -lt "$give_up_at" ]; do pause 0.1; done
  kill -KILL -- "-$command" 2>/dev/null
}

# tell WHAT PARTS: says how the task ended, again and again until there is an answer or the lease has ended.
tell() {
  while :; do
    request POST "/tasks/$id/$1" 10 "{$fence$2}"
    case $status in
      200) log "task $id $(plain event <"$work/answer")" && return 0 ;;
      404 | 409) log "task $id is somebody else's by now: $1 changed nothing" && return 0 ;;
      4??) log "refused ($status): $(head -c 300 "$work/answer")" && return 1 ;;
    esac
    if [ "$SECONDS" -ge "$lease_ends" ]; then
      log "task $id: no answer ($status) before the lease ran out" && return 0
    fi
    pause 0.5
  done
}

tell_failure() {
  local message
  message=$(tail -c 2000 "$work/err" | json_text)
  tell fail ",\"error\":{\"type\":\"$1\",\"message\":$message}$2"
}

tell_success() {
  local result
  if [ -n "$json_result" ]; then result=$(cat "$work/out"); else result=$(json_text <"$work/out"); fi
  tell finish ",\"result\":${result:-null}" && return
  head -c 300 "$work/answer" >"$work/err"
  tell_failure ResultRefused ',"permanent":true'
}

# Runs the command for the task, and watches over it.
run() {
  local code renew_at grace_ends='' timeout_s ends_at=''
  order=go told=''
  timeout_s=$(plain timeout_s <"$work/task")
  # The server ends it, too, whatever happens here.
  [ "$timeout_s" = null ] || ends_at=$((SECONDS + ${timeout_s%.*} + 1))
  member payload <"$work/task" >"$work/payload"
  : >"$work/progress"
  log "task $id begins (claim $claim_no)"
  set -m # so that the command and its children can be stopped as one
  TASK_ID=$id TASK_CLAIM_NO=$claim_no TASK_LEASE_ID=$lease \
    TASK_TYPE=$(plain type <"$work/task") TASK_QUEUE=$(plain queue <"$work/task") \
    TASK_ATTEMPT=$(plain attempt <"$work/task") TASK_MAX_ATTEMPTS=$(plain max_attempts <"$work/task") \
    "$@" <"$work/payload" >"$work/out" 2>"$work/err" 3>"$work/progress" &
  command=$!
  set +m
  renew_at=$((SECONDS + (lease_ttl + 2) / 3))
  while kill -0 "$command" 2>/dev/null && [ "$order" = go ]; do
    pause 0.1
    report
    if [ "$SECONDS" -ge "$renew_at" ] && [ "$order" = go ]; then
      renew
      renew_at=$((SECONDS + (lease_ttl + 2) / 3))
    fi
    if [ -n "$ends_at" ] && [ "$SECONDS" -ge "$ends_at" ]; then order=timeout; fi
    if [ -n "$stopping" ]; then
      grace_ends=${grace_ends:-$((SECONDS + grace))}
      [ "$SECONDS" -lt "$grace_ends" ] || order=stop
    fi
  done
  [ "$order" = go ] || stop_command
  wait "$command" 2>/dev/null
  code=$?
  report
  case "$order:$code" in
    lost:*) log "task $id is lost: somebody else has it, or nobody" ;;
    *:0) tell_success ;;
    cancel:*) tell cancelled '' ;;
    stop:*) request DELETE "/leases/$lease" 10 && log "task $id handed back ($status)" ;;
    timeout:*) tell_failure Timeout '' ;;
    *:65) tell_failure ExitStatus ',"permanent":true' ;;
    *) [ -s "$work/err" ] || echo "it ended with status $code" >"$work/err"
      tell_failure ExitStatus '' ;;
  esac
}

log "started, for types [$types] at $url"
while [ -z "$stopping" ]; do
  if take; then run "$@"; fi
done
log stopped
