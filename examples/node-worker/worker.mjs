// A worker for Taskmill in JavaScript: Node 18.17 or later, and nothing from npm.
//
//   import { work } from "./worker.mjs";
//   await work({ "send-email": async (payload, task) => ({ sent_to: payload.to }) });
//
// A handler gets the task's payload, and the task: `id`, `type`, `queue`, `attempt`, `max_attempts`, …, and
//
//   task.signal                       is aborted when the work must stop: cancelled, lost, out of time
//   task.progress(share, message)     reports progress, from 0 to 1
//   task.log(message, level, fields)  adds a line to the task's log
//
// Its return value is the result. What it throws is a failure, retried by the task's retry policy, except a
// `PermanentFailure`. SIGTERM and SIGINT end the worker: handlers have `grace` seconds, then tasks are handed back.

import { setTimeout as sleep } from "node:timers/promises";
import { hostname } from "node:os";

/** Thrown by a handler when no further attempt would help. */
export class PermanentFailure extends Error {
  name = "PermanentFailure";
}

const DEFAULTS = {
  url: process.env.TASKMILL_URL ?? "http://127.0.0.1:8000",
  name: `${hostname()}-${process.pid}`,
  queues: [], // none: every queue
  concurrency: 1, // tasks at once
  ttl: 30, // seconds until a task goes to another worker when this process falls silent
  wait: 30, // seconds that a call waits for a task
  grace: 10, // seconds that a handler has to end when the worker must stop
  abandonAfter: 5, // seconds between `task.signal` and going on without the handler
};

/**
 * Runs tasks of the handlers' types until SIGTERM or SIGINT.
 * @throws when the service refuses the worker's requests, for example a bad name of a type
 */
export async function work(handlers, options = {}) {
  const worker = { ...DEFAULTS, ...options, handlers, stopping: new AbortController() };
  const stop = () => worker.stopping.abort();
  process.on("SIGTERM", stop).on("SIGINT", stop);
  log(worker, `started, for types ${Object.keys(handlers).join(", ")} at ${worker.url}`);
  try {
    await Promise.all(Array.from({ length: worker.concurrency }, () => runTasks(worker)));
  } finally {
    stop(); // after a refusal the others end, too
    process.off("SIGTERM", stop).off("SIGINT", stop);
  }
  log(worker, "stopped");
}

async function runTasks(worker) {
  while (!worker.stopping.signal.aborted) {
    const claim = await take(worker);
    if (claim) await run(worker, claim);
  }
}

/** Requests a task; returns nothing when none came. */
async function take(worker) {
  const sentAt = Date.now();
  const { status, data } = await request(worker, "POST", "/leases", {
    body: {
      worker: worker.name,
      types: Object.keys(worker.handlers),
      queues: worker.queues,
      ttl_s: worker.ttl,
      wait_s: worker.wait,
    },
    seconds: worker.wait + 10,
    // A request that is aborted while it waits leaves nothing claimed.
    signal: worker.stopping.signal,
  });
  if (status === 201) {
    const [task] = data.tasks;
    const fence = { lease_id: data.lease_id, claim_no: task.claim_no };
    return { task, fence, ttlMs: data.ttl_s * 1000, endsAt: sentAt + data.ttl_s * 1000 };
  }
  if (status >= 400 && status < 500) throw new Error(`refused (${status}): ${JSON.stringify(data)}`);
  if (status !== 204 && !worker.stopping.signal.aborted) {
    log(worker, `no response (${status || data}): trying again`);
    await pause(1000, worker.stopping.signal);
  }
}

/** Runs the handler for a task, and supervises it. */
async function run(worker, claim) {
  const { task } = claim;
  // Why the work must stop: cancel, lost, timeout or stop.
  const state = { why: null, abort: new AbortController(), ended: new AbortController(), lines: [], sent: 0 };
  const stopWork = (why) => {
    state.why ??= why;
    state.abort.abort(new Error(why));
  };
  log(worker, `task ${task.id} begins (claim ${task.claim_no})`);
  const watches = [
    renewLease(worker, claim, state, stopWork),
    sendLog(worker, claim, state, stopWork),
    enforceTime(worker, task, state, stopWork),
  ];
  const outcome = await callHandler(worker, claim, state, stopWork);
  state.ended.abort();
  await Promise.all(watches);
  await sendLines(worker, claim, state, stopWork);
  await report(worker, claim, state, outcome);
}

/** Calls the handler, and returns its outcome; one that ignores its signal is abandoned after a while. */
async function callHandler(worker, claim, state, stopWork) {
  const { task, fence } = claim;
  const context = {
    ...task,
    signal: state.abort.signal,
    log: (message, level = "info", fields = {}) => state.lines.push({ message: String(message), level, fields }),
    async progress(share, message) {
      const body = { ...fence, share, message };
      const { status } = await request(worker, "POST", `/tasks/${task.id}/progress`, { body });
      if (status === 409) stopWork("lost");
    },
  };
  const call = async () => ({ result: await worker.handlers[task.type](task.payload, context) });
  const outcome = call().catch((error) => ({ error: error ?? new Error("nothing was thrown") }));
  const aborted = new Promise((resolve) => state.abort.signal.addEventListener("abort", resolve, { once: true }));
  await Promise.race([outcome, aborted]);
  const tooLate = pause(worker.abandonAfter * 1000, state.ended.signal).then(() => ({
    error: new Error("the handler does not stop"),
  }));
  return await Promise.race([outcome, tooLate]);
}

/** Renews the lease every third of its time, and learns what must stop. */
async function renewLease(worker, claim, state, stopWork) {
  const { task, fence, ttlMs } = claim;
  while (await pause(ttlMs / 3, state.ended.signal)) {
    const sentAt = Date.now();
    const { status, data } = await request(worker, "POST", `/leases/${fence.lease_id}/renew`, { seconds: 5 });
    if (status === 200) {
      claim.endsAt = sentAt + ttlMs;
      if (!data.tasks.includes(task.id)) stopWork("lost");
      else if (data.cancel.includes(task.id)) stopWork("cancel");
    } else if (status === 404 || status === 409) {
      stopWork("lost");
    } else {
      log(worker, `not renewed (${status || data})`);
    }
    // After so long without a renewal another worker has the task.
    if (Date.now() >= claim.endsAt) stopWork("lost");
  }
}

/** Stops the work when its time is over, or when the worker has stopped for longer than its grace time. */
async function enforceTime(worker, task, state, stopWork) {
  const { signal } = state.ended;
  const stopped = async () => {
    await aborted(worker.stopping.signal, signal);
    if (!signal.aborted && (await pause(worker.grace * 1000, signal))) stopWork("stop");
  };
  const timedOut = async () => {
    // The server enforces it, too, a little earlier.
    if (task.timeout_s !== null && (await pause((task.timeout_s + 1) * 1000, signal))) stopWork("timeout");
  };
  await Promise.all([stopped(), timedOut()]);
}

async function sendLog(worker, claim, state, stopWork) {
  while (await pause(1000, state.ended.signal)) await sendLines(worker, claim, state, stopWork);
}

/** Sends the lines that are new. They are numbered: sent again after a lost response, they are stored once. */
async function sendLines(worker, claim, state, stopWork) {
  while (state.sent < state.lines.length && state.why !== "lost") {
    const lines = state.lines.slice(state.sent, state.sent + 100);
    const body = { ...claim.fence, first: state.sent + 1, lines };
    const { status } = await request(worker, "POST", `/tasks/${claim.task.id}/logs`, { body });
    if (status === 404 || status === 409) stopWork("lost");
    else if (status === 0 || status >= 500) return;
    state.sent += lines.length;
  }
}

/** Reports how the task ended. */
async function report(worker, claim, state, { result = null, error }) {
  const why = error ? state.why : null; // work that was done before the abort is done
  if (state.why === "lost") return log(worker, `task ${claim.task.id} is lost: another worker has it`);
  if (why === "stop") return await handBack(worker, claim);
  if (why === "cancel") return await sendEnd(worker, claim, "cancelled", {});
  if (why === "timeout") return await sendEnd(worker, claim, "fail", { error: { type: "Timeout", message: "" } });
  if (error) {
    const shown = { type: String(error.name ?? "Error"), message: String(error.message ?? error).slice(0, 2000) };
    const permanent = error instanceof PermanentFailure;
    return (
      (await sendEnd(worker, claim, "fail", { error: shown, permanent })) ||
      (await sendEnd(worker, claim, "fail", { error: {}, permanent }))
    );
  }
  if (isJson(result) && (await sendEnd(worker, claim, "finish", { result }))) return;
  const refused = { type: "ResultRefused", message: "the result is not JSON that the service accepts" };
  await sendEnd(worker, claim, "fail", { error: refused, permanent: true });
}

function isJson(value) {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false; // it is circular, or has a BigInt
  }
}

/** Reports an end, again and again, until there is a response or the lease has ended; false when it was refused. */
async function sendEnd(worker, claim, what, more) {
  const { task, fence } = claim;
  for (;;) {
    const { status, data } = await request(worker, "POST", `/tasks/${task.id}/${what}`, { body: { ...fence, ...more } });
    const isRefused = status >= 400 && status < 500 && status !== 404 && status !== 409;
    if (status === 200) log(worker, `task ${task.id} ${data.event}`);
    else if (isRefused) log(worker, `refused (${status}): ${JSON.stringify(data)}`);
    else if (status >= 400 && status < 500) log(worker, `task ${task.id}: ${what} changed nothing`);
    else if (Date.now() >= claim.endsAt) log(worker, `task ${task.id}: no response before its lease ran out`);
    else {
      await sleep(500);
      continue;
    }
    return !isRefused;
  }
}

async function handBack(worker, { task, fence, endsAt }) {
  for (;;) {
    const { status } = await request(worker, "DELETE", `/leases/${fence.lease_id}`);
    if (status === 200 || status === 404) return log(worker, `task ${task.id} is handed back`);
    if (Date.now() >= endsAt) return;
    await sleep(500);
  }
}

/** Sends a request; without a response the status is 0, and the data is the reason. */
async function request(worker, method, path, { body, seconds = 10, signal } = {}) {
  const timeout = AbortSignal.timeout(seconds * 1000);
  try {
    const response = await fetch(worker.url + path, {
      method,
      headers: body && { "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
    });
    const text = await response.text();
    return { status: response.status, data: text ? JSON.parse(text) : null };
  } catch (error) {
    return { status: 0, data: error.cause?.message ?? error.message };
  }
}

/** Waits; true when the time has passed, false when the signal came first. */
async function pause(ms, signal) {
  return await sleep(ms, true, { signal }).catch(() => false);
}

/** Waits for the first of two signals. */
async function aborted(first, second) {
  const either = AbortSignal.any([first, second]);
  if (!either.aborted) await new Promise((resolve) => either.addEventListener("abort", resolve, { once: true }));
}

function log(worker, text) {
  console.log(`${new Date().toISOString().slice(11, 19)} ${worker.name} ${text}`);
}
