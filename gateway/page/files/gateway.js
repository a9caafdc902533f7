// The gateway's JSON API, as far as this page needs it.

import { key } from "./session.js";

// status 0: there was no answer at all.
export class Refusal extends Error {
  constructor(status, { message, reason = "", field = "" }, retryAfter) {
    super(message);
    Object.assign(this, { status, reason, field, retryAfter });
  }

  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

export const collections = () => ask("v1/collections").then((reply) => reply.collections);

export const search = (request, signal) => ask("v1/search", { method: "POST", body: JSON.stringify(request), signal });

async function ask(path, options = {}) {
  const headers = { "content-type": "application/json" };
  if (key()) headers.authorization = `Bearer ${key()}`;
  const common = { headers, credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" };
  let reply;
  try {
    reply = await fetch(path, { ...common, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { message: "The gateway cannot be reached." });
  }
  const body = await reply.json().catch(() => null);
  if (reply.ok && body) return body;
  const told = body?.error?.message ? body.error : { message: `The gateway answered ${reply.status}.` };
  throw new Refusal(reply.status, told, Number(reply.headers.get("retry-after")) || null);
}
