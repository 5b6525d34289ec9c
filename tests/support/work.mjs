// What the members of every crew do, by the payload's "do"; see python_worker.py, which does the same.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { PermanentFailure, work } from "../../examples/node-worker/worker.mjs";

const [url, name, type, ttl, grace] = process.argv.slice(2);
const gate = `${process.env.WORK_FOLDER}/${type}.go`;

async function opened(signal) {
  while (!existsSync(gate)) await sleep(50, null, { signal });
}

async function handler(payload, task) {
  switch (payload.do) {
    case "fail":
      throw new Error("no such customer");
    case "fail once":
      if (task.attempt === 1) throw new Error("not yet");
      break;
    case "fail for good":
      throw new PermanentFailure("never");
    case "hang":
      await sleep(60_000, null, { signal: task.signal });
      break;
    case "hold first":
      if (task.claim_no === 1) await opened(task.signal);
      break;
    case "progress":
      await task.progress(0.25, 'a "quarter"');
      await opened(task.signal);
      await task.progress(0.75, "more");
      break;
    case "log":
      for (let number = 1; number <= 250; number++) task.log(`line ${number}`, "warning", { number });
      break;
    case "bigint":
      return 1n;
    case "much":
      return "x".repeat(2 ** 21);
  }
  return `claim ${task.claim_no} of "${task.type}"`;
}

await work({ [type]: handler }, { url, name, ttl: Number(ttl), grace: Number(grace), abandonAfter: 2 });
