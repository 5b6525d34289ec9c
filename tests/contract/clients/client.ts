// What a program in TypeScript does with types made from the document. It has to compile in strict mode, and to run.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type CreateTask = components["schemas"]["CreateTask"];

const client = createClient<paths>({ baseUrl: String(process.argv[2]) });

// What has a default may be left out.
const least: CreateTask = { name: "from TypeScript" };
const created = await client.POST("/tasks", { body: least });
if (created.data === undefined) throw new Error(JSON.stringify(created.error));
const id: string = created.data.id;

const more: CreateTask = {
  name: "later",
  delay_s: 3600,
  labels: { team: "finance" },
  callback_url: "http://127.0.0.1:9000/",
};
const later = await client.POST("/tasks", { body: more });
console.log(later.data?.warning !== undefined);

const read = await client.GET("/tasks/{id}", { params: { path: { id } } });
console.log(read.data?.name, read.data?.status);

const listed = await client.GET("/tasks", { params: { query: { status: ["new"], limit: 10 } } });
console.log(listed.data?.items.length);

const webhook = await client.POST("/webhooks", { body: { url: "https://example.org/hooks" } });
const deliveries = await client.GET("/webhooks/{id}/deliveries", {
  params: { path: { id: String(webhook.data?.id) }, query: { state: ["pending", "failed"] } },
});
console.log(deliveries.data?.items.length);

const refused = await client.POST("/tasks", { body: { name: "" } });
console.log(refused.response.status, refused.error?.errors?.[0]?.pointer);
