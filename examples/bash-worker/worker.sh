#!/usr/bin/env bash
# A worker for Taskmill in bash and curl: it takes tasks of some types, and runs a command for each, one at a time.
#
#   worker.sh --type thumbnail [options] -- command [argument…]
#
# The command gets the task's payload as JSON on its standard input, and in its environment TASK_ID, TASK_TYPE,
# TASK_QUEUE, TASK_ATTEMPT, TASK_MAX_ATTEMPTS, TASK_CLAIM_NO and TASK_LEASE_ID. How it ends is how the task ends:
#
#   status 0     success; what it wrote to its standard output is the result (a text, or with --json any JSON)
#   status 65    a permanent failure: no further attempt would help
#   other        a failure, retried by the task's retry policy
#
# What it writes to its standard error is the task's log, and the end of it is the error's message. A line
# "0.4 page 4 of 10" on its file descriptor 3 is progress. When its task is cancelled, lost or out of time, the command
# and its children get SIGTERM, and SIGKILL if they still run after --kill-after seconds.
#
# The worker ends with SIGTERM or SIGINT: a running command has --grace seconds to end, then its task is handed back,
# which costs no attempt.
#
# It needs bash 4.4, curl 7.75, awk, sed, iconv and what every system has; no JSON tool.

# shellcheck disable=SC2154,SC2317 # `capture` sets variables and calls functions by names that are its arguments

set -u

# A signal is only noted here, and every wait checks it again within a moment: bash may begin to `wait` just after a signal
# and before its trap, and a process that was just forked may miss a `kill`. A function, as bash 5.2 may fail to parse
# a trap's own text when the signal comes while it parses something else.
stopping='' signals=0
note_signal() {
    stopping=yes
    ((signals += 1))
}
trap note_signal TERM INT

usage="usage: worker.sh --type TYPE [--type TYPE…] [--queue QUEUE…] [--url URL] [--name NAME] [--ttl S] [--wait S]
                 [--grace S] [--kill-after S] [--json] -- command [argument…]"

url=${TASKMILL_URL:-http://127.0.0.1:8000}
name=$(uname -n)-$$
ttl=30 wait=30 grace=10 kill_after=5
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
    --kill-after) kill_after=$2 && shift 2 ;;
    --json) json_result=yes && shift ;;
    --) shift && break ;;
    *) echo "$usage" >&2 && exit 64 ;;
  esac
done
if [ -z "$types" ] || [ $# -eq 0 ]; then
  echo "$usage" >&2
  exit 64
fi

# capture VARIABLE COMMAND…: sets the variable to the command's output. Ctrl-C ends the command, too: then it is run again.
capture() {
  local before=''
  while [ "$before" != "$signals" ]; do
    before=$signals
    printf -v "$1" %s "$("${@:2}")"
  done
}

capture work mktemp -d
[ -n "$work" ] || exit 1
trap 'trap "" TERM INT && rm -rf "$work"' EXIT
mkfifo "$work/never"

log() { TZ=UTC0 printf '%(%H:%M:%S)T %s %s\n' -1 "$name" "$*" >&2; }

# Waits for so many seconds, without a process that could be left behind.
pause() { read -rt "$1" <>"$work/never"; }

# request METHOD PATH LONGEST_S [BODY]: sets $status (000: no response, or not all of it); the response is in
# $work/response. A signal ends a request that waits for a task; the server then gives back what it may have claimed.
request() {
  local body=() curl_pid trouble
  if [ $# -gt 3 ]; then
    printf '%s' "$4" >"$work/body"
    body=(-H 'Content-Type: application/json' --data-binary "@$work/body")
  fi
  : >"$work/response" && : >"$work/status"
  # The pipe is never written to: it ends when curl does. -N: all that came is in the file even when curl is killed.
  exec 3< <(exec curl -sSN -X "$1" --connect-timeout 5 --max-time "$3" -o "$work/response" \
    -w '%{http_code} %{exitcode}' "${body[@]}" "$url$2" 4>&1 >"$work/status" 2>"$work/trouble")
  curl_pid=$!
  while kill -0 "$curl_pid" 2>/dev/null; do
    read -rt 0.2 <&3
    if [ -n "$stopping" ] && [ "$2" = /leases ]; then kill "$curl_pid" 2>/dev/null; fi
  done
  exec 3<&-
  read -r status trouble <"$work/status"
  # A response that was cut off has a status, too.
  [ "${trouble:-1}" = 0 ] || status=000
}

# member NAME FILE: the JSON of a member of the object in $work/FILE; nothing if there is none.
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
    }' "$work/$2"
}

# plain NAME FILE: a member that is a number, or a text without escapes.
plain() { member "$@" | tr -d '"'; }

# Escapes its input for a JSON text, line by line, without what JSON or PostgreSQL can't hold.
escaped() {
  tr -d '\000-\010\013\014\016-\037\177' | iconv -c -f UTF-8 -t UTF-8 |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e $'s/\t/\\\\t/g' -e $'s/\r/\\\\r/g'
}

# json_text COMMAND…: the command's output as a JSON text.
json_text() {
  "$@" | escaped | awk 'BEGIN { printf "\"" } { printf "%s%s", (NR > 1 ? "\\n" : ""), $0 } END { printf "\"" }'
}

# Hands back the task of the lease, which costs it no attempt.
hand_back() {
  for _ in 1 2 3; do
    request DELETE "/leases/$lease" 5
    case $status in 000 | 5??) pause 0.5 ;; *) break ;; esac
  done
  log "lease $lease handed back ($status)"
}

# Requests a task; true when there is one, in $work/task.
take() {
  local sent_at=$SECONDS tasks
  request POST /leases $((wait + 10)) \
    "{\"worker\":\"$name\",\"types\":[$types],\"queues\":[$queues],\"limit\":1,\"ttl_s\":$ttl,\"wait_s\":$wait}"
  case $status in
    201) ;;
    204) return 1 ;;
    000 | 5??)
      [ -n "$stopping" ] || log "no response ($status): $(head -c 300 "$work/trouble")"
      # A response that was cut off may have enough to hand the task back.
      capture lease plain lease_id response
      [ -z "$lease" ] || hand_back
      [ -n "$stopping" ] || pause 1
      return 1
      ;;
    *)
      log "refused ($status): $(cat "$work/response")"
      [ -n "$stopping" ] || exit 1
      return 1
      ;;
  esac
  capture lease plain lease_id response
  capture lease_ttl plain ttl_s response
  lease_ttl=${lease_ttl%.*}
  # Counted from before the request: the end that the server set is not earlier.
  lease_ends=$((sent_at + lease_ttl))
  capture tasks member tasks response
  tasks=${tasks#\[}
  printf '%s' "${tasks%\]}" >"$work/task"
  capture id plain id task
  capture claim_no plain claim_no task
  fence="\"lease_id\":\"$lease\",\"claim_no\":$claim_no"
}

# Renews the lease; sets $order to what the response means for the command: go, cancel or lost.
renew() {
  local sent_at=$SECONDS tasks cancel
  request POST "/leases/$lease/renew" 5 '{}'
  case $status in
    200)
      lease_ends=$((sent_at + lease_ttl))
      capture tasks member tasks response
      capture cancel member cancel response
      case $tasks in *"$id"*) ;; *) order=lost ;; esac
      case $cancel in *"$id"*) [ "$order" = lost ] || order=cancel ;; esac
      ;;
    404 | 409) order=lost ;;
    *) log "not renewed ($status): $(head -c 300 "$work/trouble")" ;;
  esac
  # After so long without a renewal another worker has the task.
  [ "$SECONDS" -lt "$lease_ends" ] || order=lost
}

# Sends the last line of progress, if there is a new one.
send_progress() {
  local line share message
  capture line tail -n 1 "$work/progress"
  [ "$line" != "$last_line" ] || return 0
  last_line=$line
  share=${line%% *}
  message=${line#"$share"}
  message=${message# }
  capture message json_text printf %s "${message:0:400}"
  case $share in
    0 | 1 | 0.* | 1.0*) request POST "/tasks/$id/progress" 5 "{$fence,\"share\":$share,\"message\":$message}" ;;
    *) log "not progress: $line" && return 0 ;;
  esac
  [ "$status" != 409 ] || order=lost
}

# The part of the command's standard error that is logged: no more than a claim's log holds.
errors() { head -c 300000 "$work/err"; }

whole_lines() { errors | wc -l; }
all_lines() { errors | awk 'END { print NR }'; }

# lines FROM TO: these lines as JSON.
lines() {
  errors | sed -n "$1,$2p" | cut -b 1-8000 | escaped |
    awk '{ printf "%s{\"message\":\"%s\"}", (NR > 1 ? "," : ""), $0 }'
}

# send_log COUNT: sends new lines of the command's standard error, up to the number that COUNT (whole_lines or all_lines)
# prints, a hundred at once. After a lost response they are sent again with the same numbers, and stored once.
send_log() {
  local count to some left_out
  [ -s "$work/err" ] || return 0
  capture count "$1"
  while [ "$logged" -lt "$count" ] && [ -z "$log_is_full" ] && [ "$order" != lost ]; do
    to=$((logged + 100 < count ? logged + 100 : count))
    capture some lines $((logged + 1)) "$to"
    request POST "/tasks/$id/logs" 5 "{$fence,\"first\":$((logged + 1)),\"lines\":[$some]}"
    case $status in
      200)
        capture left_out plain left_out response
        [ "$left_out" = 0 ] || log_is_full=yes
        ;;
      404 | 409) order=lost ;;
      4??) log "not logged ($status): $(head -c 300 "$work/response")" ;;
      *) return 0 ;;
    esac
    logged=$to
  done
}

# Stops the command, and all processes that it has started.
stop_command() {
  local give_up_at=$((SECONDS + kill_after))
  kill -TERM -- "-$command" 2>/dev/null
  while kill -0 -- "-$command" 2>/dev/null && [ "$SECONDS" -lt "$give_up_at" ]; do pause 0.1; done
  kill -KILL -- "-$command" 2>/dev/null
  while kill -0 "$command" 2>/dev/null; do pause 0.05; done
}

# send_end WHAT PARTS: reports how the task ended, again and again until there is a response or the lease has ended.
send_end() {
  while :; do
    request POST "/tasks/$id/$1" 10 "{$fence$2}"
    case $status in
      200) log "task $id $(plain event response)" && return 0 ;;
      404 | 409) log "task $id is another worker's by now: $1 changed nothing" && return 0 ;;
      4??) log "refused ($status): $(head -c 300 "$work/response")" && return 1 ;;
    esac
    if [ "$SECONDS" -ge "$lease_ends" ]; then
      log "task $id: no response ($status) before the lease ran out" && return 0
    fi
    pause 0.5
  done
}

send_failure() {
  local message
  capture message json_text tail -c 2000 "$work/err"
  send_end fail ",\"error\":{\"type\":\"$1\",\"message\":$message}$2"
}

send_success() {
  local result
  if [ -n "$json_result" ]; then capture result cat "$work/out"; else capture result json_text cat "$work/out"; fi
  send_end finish ",\"result\":${result:-null}" && return
  head -c 300 "$work/response" >"$work/err"
  send_failure ResultRefused ',"permanent":true'
}

# Runs the command for the task, and supervises it.
run() {
  local code file payload renew_at log_at=$SECONDS grace_ends='' timeout_s ends_at=''
  order=go last_line='' logged=0 log_is_full=''
  capture timeout_s plain timeout_s task
  # The server enforces it, too.
  [ "$timeout_s" = null ] || ends_at=$((SECONDS + ${timeout_s%.*} + 1))
  capture payload member payload task
  printf '%s' "$payload" >"$work/payload"
  # Created now: they are read before the command's process may have created them.
  for file in out err progress; do : >"$work/$file"; done
  log "task $id begins (claim $claim_no)"
  set -m # so that the command and its children can be stopped together
  TASK_ID=$id TASK_CLAIM_NO=$claim_no TASK_LEASE_ID=$lease \
    TASK_TYPE=$(plain type task) TASK_QUEUE=$(plain queue task) \
    TASK_ATTEMPT=$(plain attempt task) TASK_MAX_ATTEMPTS=$(plain max_attempts task) \
    "$@" <"$work/payload" >"$work/out" 2>"$work/err" 3>"$work/progress" &
  command=$!
  set +m
  renew_at=$((SECONDS + (lease_ttl + 2) / 3))
  while kill -0 "$command" 2>/dev/null && [ "$order" = go ]; do
    pause 0.1
    send_progress
    if [ "$SECONDS" != "$log_at" ]; then
      log_at=$SECONDS
      send_log whole_lines
    fi
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
  # It has ended, so this does not wait, and no signal can be mistaken for its end.
  wait "$command" 2>/dev/null
  code=$?
  send_progress
  send_log all_lines
  case "$order:$code" in
    lost:*) log "task $id is lost: another worker has it, or none" ;;
    *:0) send_success ;;
    cancel:*) send_end cancelled '' ;;
    stop:*) hand_back ;;
    timeout:*) send_failure Timeout '' ;;
    *:65) send_failure ExitStatus ',"permanent":true' ;;
    *) [ -s "$work/err" ] || echo "it ended with status $code" >"$work/err"
      send_failure ExitStatus '' ;;
  esac
}

log "started, for types [$types] at $url"
while [ -z "$stopping" ]; do
  if take; then run "$@"; fi
done
log stopped
exit 0
