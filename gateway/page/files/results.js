// What a search found, on the page.

import { chosen } from "./collections.js";
import { byId } from "./dom.js";
import * as keyboard from "./keyboard.js";
import * as lines from "./lines.js";
import * as lists from "./lists.js";
import { wishes } from "./wishes.js";

const WAYS = { vector: "by cosine", bm25: "by BM25", hybrid: "by vector and keyword ranks, fused" };

const PENDING = "pending"; // the reranker has not answered yet
const UNRANKED = "unranked"; // and will not

let hits = [];

// found: a reply of the gateway; recall: how it was asked to find.
export function show(found, recall, { pending }) {
  const focused = document.activeElement?.dataset?.id;
  const unranked = !pending && found.rerank_fingerprint === "";
  hits = found.hits;
  byId("welcome").hidden = true;
  byId("results").hidden = hits.length === 0;
  byId("results").className = unranked ? UNRANKED : pending ? PENDING : "";
  busy(pending);
  lists.show(hits, { pending, both: recall === "hybrid", filterable: chosen().filterable });
  lists.caption("recalled", found.degraded.includes("embed_unavailable") ? WAYS.bm25 : WAYS[recall]);
  lists.caption("reranked", pending ? "reading…" : "");
  floor();
  lines.light(null);
  lines.draw({ moving: !pending && !unranked });
  if (focused) keyboard.focus(lists.rows(unranked ? "recalled" : "reranked").find((row) => row.dataset.id === focused));
}

// Greys what the floor would leave out. Without the second stage there is no score to hold against it.
export function floor() {
  if (state(PENDING) || state(UNRANKED)) return;
  const { floor: wanted } = wishes();
  const left = lists.sink(hits, wanted);
  const { weight } = chosen();
  const way = weight ? `by cross-encoder + ${Number(weight.toFixed(2))} × cosine` : "by cross-encoder";
  lists.caption("reranked", wanted ? `${left} of ${hits.length} reach ${wanted.toFixed(2)}` : way);
}

export function busy(now) {
  byId("results").setAttribute("aria-busy", String(now));
}

// The reranker will not answer: what is shown stays recall order.
export function abandon() {
  busy(false);
  if (state(PENDING)) byId("results").className = UNRANKED;
}

export function hide() {
  hits = [];
  byId("results").hidden = true;
  byId("timings").hidden = true;
  byId("welcome").hidden = false;
}

const state = (name) => byId("results").classList.contains(name);
