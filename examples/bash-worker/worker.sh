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
# What it writes to its standard error is the task's log, and the end of it is the error's message. A line
# "0.4 page 4 of 10" on its file descriptor 3 is progress. When its task is cancelled, lost or out of time, the command and its children get SIGTERM,
# and SIGKILL when they are still there after --patience seconds.
#
# The worker ends with SIGTERM or SIGINT: a command that runs has --grace seconds to end, then its task is handed back,
# which costs nothing.
#
# It needs bash 4.4, curl 7.75, awk, sed, iconv and what every system has; no JSON tool.

# shellcheck disable=SC2154,SC2317 # `keep` sets variables and calls functions that it is told by name

set -u

# A signal is only noted here. Whatever waits looks at this again within a moment: bash may begin to `wait` just after a
# signal and before its trap, and a process that has only been forked may overhear a `kill`.
stopping='' signals=0
trap 'stopping=yes signals=$((signals + 1))' TERM INT

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

# keep VARIABLE COMMAND…: sets the variable to what the command writes. Ctrl-C ends the command, too, not only the shell's
# wait for it: then it is run again.
keep() {
  local before=''
  while [ "$before" != "$signals" ]; do
    before=$signals
    printf -v "$1" %s "$("${@:2}")"
  done
}

keep work mktemp -d
[ -n "$work" ] || exit 1
trap 'trap "" TERM INT && rm -rf "$work"' EXIT
mkfifo "$work/never"

log() { TZ=UTC0 printf '%(%H:%M:%S)T %s %s\n' -1 "$name" "$*" >&2; }

# Waits for so many seconds, without a process that could be left behind.
pause() { read -rt "$1" <>"$work/never"; }

# request METHOD PATH LONGEST_S [BODY]: sets $status (000: no answer, or not all of it); the answer is in $work/answer. Who
# waits for a task hangs up on a signal; the server then gives back what it may have claimed in this moment.
request() {
  local body=() curl_pid trouble
  if [ $# -gt 3 ]; then
    printf '%s' "$4" >"$work/body"
    body=(-H 'Content-Type: application/json' --data-binary "@$work/body")
  fi
  : >"$work/answer" && : >"$work/status"
  # The pipe is never written to: it ends when curl does. -N: what has come is in the file, also when curl is killed.
  exec 3< <(exec curl -sSN -X "$1" --connect-timeout 5 --max-time "$3" -o "$work/answer" \
    -w '%{http_code} %{exitcode}' "${body[@]}" "$url$2" 4>&1 >"$work/status" 2>"$work/trouble")
  curl_pid=$!
  while kill -0 "$curl_pid" 2>/dev/null; do
    read -rt 0.2 <&3
    if [ -n "$stopping" ] && [ "$2" = /leases ]; then kill "$curl_pid" 2>/dev/null; fi
  done
  exec 3<&-
  read -r status trouble <"$work/status"
  # An answer that was cut off has a status, too.
  [ "${trouble:-1}" = 0 ] || status=000
}

# member NAME FILE: the JSON of a member of the object in $work/FILE, as it is; nothing when there is none.
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

# A member that is a text without escapes, or a number.
plain() { member "$@" | tr -d '"'; }

# What may stand in a JSON text for what comes, line by line, without what JSON or PostgreSQL can't hold.
escaped() {
  tr -d '\000-\010\013\014\016-\037\177' | iconv -c -f UTF-8 -t UTF-8 |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e $'s/\t/\\\\t/g' -e $'s/\r/\\\\r/g'
}

# json_text COMMAND…: what the command writes, as a JSON text.
json_text() {
  "$@" | escaped | awk 'BEGIN { printf "\"" } { printf "%s%s", (NR > 1 ? "\\n" : ""), $0 } END { printf "\"" }'
}

# Hands back the task that the lease holds, which costs it nothing.
hand_back() {
  for _ in 1 2 3; do
    request DELETE "/leases/$lease" 5
    case $status in 000 | 5??) pause 0.5 ;; *) break ;; esac
  done
  log "lease $lease handed back ($status)"
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
      # What came before it was cut off may be enough to hand the task back.
      keep lease plain lease_id answer
      [ -z "$lease" ] || hand_back
      [ -n "$stopping" ] || pause 1
      return 1
      ;;
    *)
      log "refused ($status): $(cat "$work/answer")"
      [ -n "$stopping" ] || exit 1
      return 1
      ;;
  esac
  keep lease plain lease_id answer
  keep lease_ttl plain ttl_s answer
  lease_ttl=${lease_ttl%.*}
  # Counted from before the request: the server can only have set a later end.
  lease_ends=$((asked_at + lease_ttl))
  keep tasks member tasks answer
  tasks=${tasks#\[}
  printf '%s' "${tasks%\]}" >"$work/task"
  keep id plain id task
  keep claim_no plain claim_no task
  fence="\"lease_id\":\"$lease\",\"claim_no\":$claim_no"
}

# Says that we live; sets $order to what the answer means for the command: go, cancel or lost.
renew() {
  local asked_at=$SECONDS tasks cancel
  request POST "/leases/$lease/renew" 5 '{}'
  case $status in
    200)
      lease_ends=$((asked_at + lease_ttl))
      keep tasks member tasks answer
      keep cancel member cancel answer
      case $tasks in *"$id"*) ;; *) order=lost ;; esac
      case $cancel in *"$id"*) [ "$order" = lost ] || order=cancel ;; esac
      ;;
    404 | 409) order=lost ;;
    *) log "not renewed ($status): $(head -c 300 "$work/trouble")" ;;
  esac
  # What was cut off for so long is somebody else's by now.
  [ "$SECONDS" -lt "$lease_ends" ] || order=lost
}

# Passes on the last line of progress, if there is a new one.
report() {
  local line share message
  keep line tail -n 1 "$work/progress"
  [ "$line" != "$told" ] || return 0
  told=$line
  share=${line%% *}
  message=${line#"$share"}
  message=${message# }
  keep message json_text printf %s "${message:0:400}"
  case $share in
    0 | 1 | 0.* | 1.0*) request POST "/tasks/$id/progress" 5 "{$fence,\"share\":$share,\"message\":$message}" ;;
    *) log "not progress: $line" && return 0 ;;
  esac
  [ "$status" != 409 ] || order=lost
}

# What of the command's standard error is logged: no more than a claim's log holds.
errors() { head -c 300000 "$work/err"; }

whole_lines() { errors | wc -l; }
all_lines() { errors | awk 'END { print NR }'; }

# lines FROM TO: these lines as JSON.
lines() {
  errors | sed -n "$1,$2p" | cut -b 1-8000 | escaped |
    awk '{ printf "%s{\"message\":\"%s\"}", (NR > 1 ? "," : ""), $0 }'
}

# send_log COUNT: logs those lines of the command's standard error that are new, of as many as COUNT (whole_lines or
# all_lines) counts, a hundred at once. After a lost answer they are sent again, with the same numbers: they are kept once.
send_log() {
  local count to some left_out
  [ -s "$work/err" ] || return 0
  keep count "$1"
  while [ "$logged" -lt "$count" ] && [ -z "$log_is_full" ] && [ "$order" != lost ]; do
    to=$((logged + 100 < count ? logged + 100 : count))
    keep some lines $((logged + 1)) "$to"
    request POST "/tasks/$id/logs" 5 "{$fence,\"first\":$((logged + 1)),\"lines\":[$some]}"
    case $status in
      200)
        keep left_out plain left_out answer
        [ "$left_out" = 0 ] || log_is_full=yes
        ;;
      404 | 409) order=lost ;;
      4??) log "not logged ($status): $(head -c 300 "$work/answer")" ;;
      *) return 0 ;;
    esac
    logged=$to
  done
}

# Stops the command, and all that it has started.
stop_command() {
  local give_up_at=$((SECONDS + patience))
  kill -TERM -- "-$command" 2>/dev/null
  while kill -0 -- "-$command" 2>/dev/null && [ "$SECONDS" -lt "$give_up_at" ]; do pause 0.1; done
  kill -KILL -- "-$command" 2>/dev/null
  while kill -0 "$command" 2>/dev/null; do pause 0.05; done
}

# tell WHAT PARTS: says how the task ended, again and again until there is an answer or the lease has ended.
tell() {
  while :; do
    request POST "/tasks/$id/$1" 10 "{$fence$2}"
    case $status in
      200) log "task $id $(plain event answer)" && return 0 ;;
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
  keep message json_text tail -c 2000 "$work/err"
  tell fail ",\"error\":{\"type\":\"$1\",\"message\":$message}$2"
}

tell_success() {
  local result
  if [ -n "$json_result" ]; then keep result cat "$work/out"; else keep result json_text cat "$work/out"; fi
  tell finish ",\"result\":${result:-null}" && return
  head -c 300 "$work/answer" >"$work/err"
  tell_failure ResultRefused ',"permanent":true'
}

# Runs the command for the task, and watches over it.
run() {
  local code file payload renew_at log_at=$SECONDS grace_ends='' timeout_s ends_at=''
  order=go told='' logged=0 log_is_full=''
  keep timeout_s plain timeout_s task
  # The server ends it, too, whatever happens here.
  [ "$timeout_s" = null ] || ends_at=$((SECONDS + ${timeout_s%.*} + 1))
  keep payload member payload task
  printf '%s' "$payload" >"$work/payload"
  # Now, since the command's process may take a moment to do so, and they are looked at meanwhile.
  for file in out err progress; do : >"$work/$file"; done
  log "task $id begins (claim $claim_no)"
  set -m # so that the command and its children can be stopped as one
  TASK_ID=$id TASK_CLAIM_NO=$claim_no TASK_LEASE_ID=$lease \
    TASK_TYPE=$(plain type task) TASK_QUEUE=$(plain queue task) \
    TASK_ATTEMPT=$(plain attempt task) TASK_MAX_ATTEMPTS=$(plain max_attempts task) \
    "$@" <"$work/payload" >"$work/out" 2>"$work/err" 3>"$work/progress" &
  command=$!
  set +m
  renew_at=$((SECONDS + (lease_ttl + 2) / 3))
  while kill -0 "$command" 2>/dev/null && [ "$order" = go ]; do
    pause 0.1
    report
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
  # It has ended: this waits for nothing, so that no signal can be taken for its end.
  wait "$command" 2>/dev/null
  code=$?
  report
  send_log all_lines
  case "$order:$code" in
    lost:*) log "task $id is lost: somebody else has it, or nobody" ;;
    *:0) tell_success ;;
    cancel:*) tell cancelled '' ;;
    stop:*) hand_back ;;
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
exit 0
