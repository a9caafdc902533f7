// What stands at the end of a row: a score, and what the other order makes of the passage.

import { element, unseen } from "./dom.js";
import { score } from "./numbers.js";

const figure = (kind, value) => element("span", { class: "score" }, unseen(`${kind} score `), score(value));

export const recall = (hit) => [figure("recall", hit.recall_score)];

// Of a hybrid search: the rank that either way gave.
export function ways(hit) {
  const ranks = [["vector", hit.vector_rank], ["keyword", hit.text_rank]].filter(([, rank]) => rank > 0);
  const marks = ranks.map(([way, rank]) => element("span", {}, unseen(`${way} rank `), letter(way), String(rank)));
  return [figure("recall", hit.recall_score), element("span", { class: "ways" }, ...marks)];
}

export const reranked = (hit, rank) => [figure("rerank", hit.rerank_score), moved(hit.recall_rank, rank)];

// left: ranks by id of the list that this one is compared with.
export const compared = (left) => (hit, rank) => [figure("recall", hit.recall_score), moved(left.get(hit.id), rank)];

const letter = (way) => element("span", { class: "way", "aria-hidden": "true" }, way[0].toUpperCase());

function moved(from, rank) {
  if (from === undefined) return element("span", { class: "moved up" }, "new");
  const by = from - rank;
  const kind = by > 0 ? "up" : by < 0 ? "down" : "same";
  const spoken = by === 0 ? "unmoved" : `${kind} ${Math.abs(by)} from ${from}`;
  const shown = { up: `↑${by}`, down: `↓${-by}`, same: "" }[kind];
  return element("span", { class: `moved ${kind}` }, unseen(spoken), element("span", { "aria-hidden": "true" }, shown));
}
