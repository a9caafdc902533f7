// What a search found, on the page.

import { chosen } from "./collections.js";
import { byId } from "./dom.js";
import * as ends from "./ends.js";
import * as keyboard from "./keyboard.js";
import * as lines from "./lines.js";
import * as lists from "./lists.js";
import { wishes } from "./wishes.js";

const WAYS = { vector: "by cosine", bm25: "by BM25", hybrid: "by vector and keyword ranks, fused" };

const PENDING = "pending"; // the reranker has not answered yet
const UNRANKED = "unranked"; // and will not
const COMPARED = "compared"; // on the right is another way of recall

let hits = [];

// found: a reply of the gateway; recall: how it was asked to find.
export function show(found, recall, { pending }) {
  const unranked = !pending && found.rerank_fingerprint === "";
  const left = [...found.hits].sort((a, b) => a.recall_rank - b.recall_rank);
  const end = pending || unranked ? () => [] : ends.reranked;
  lay(unranked ? UNRANKED : pending ? PENDING : "", left, recall, { hits: found.hits, end });
  busy(pending);
  if (found.degraded.includes("embed_unavailable")) lists.caption("recalled", WAYS.bm25);
  lists.caption("reranked", pending ? "reading…" : "");
  floor();
  lines.draw({ moving: !pending && !unranked });
}

// Two ways of recall side by side; how many passages both found.
export function compare(left, right, { recall, against }) {
  const ranks = new Map(left.hits.map((hit, place) => [hit.id, place + 1]));
  lay(COMPARED, left.hits, recall, { hits: right.hits, end: ends.compared(ranks) });
  busy(false);
  const common = right.hits.filter((hit) => ranks.has(hit.id)).length;
  lists.caption("reranked", `${WAYS[against]} · ${common} of ${right.hits.length} in both`);
  lines.draw({ moving: true });
  return common;
}

function lay(kind, left, recall, right) {
  const focused = document.activeElement?.dataset?.id;
  hits = right.hits;
  byId("welcome").hidden = true;
  byId("results").hidden = left.length + hits.length === 0;
  byId("results").className = kind;
  lists.show({ hits: left, end: recall === "hybrid" ? ends.ways : ends.recall }, right, chosen().filterable);
  lists.caption("recalled", WAYS[recall]);
  lines.light(null);
  const again = lists.rows(kind === UNRANKED ? "recalled" : "reranked");
  if (focused) keyboard.focus(again.find((row) => row.dataset.id === focused));
}

// Greys what the floor would leave out. Without the second stage there is no score to hold against it.
export function floor() {
  if ([PENDING, UNRANKED, COMPARED].some(state)) return;
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
