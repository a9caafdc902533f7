// One passage, opened: all of its text, its metadata, and every number that led to its place.

import { byId, element } from "./dom.js";
import { score, whole } from "./numbers.js";

export function details(hit, filterable) {
  const metadata = Object.entries(hit.metadata ?? {});
  return element(
    "div",
    { class: "passage" },
    element("p", { class: "text", dir: "auto" }, hit.text),
    metadata.length
      ? element("ul", { class: "metadata" }, ...metadata.map(([name, value]) => datum(name, value, filterable)))
      : null,
    element("dl", { class: "numbers" }, ...numbers(hit).map(([name, value]) => fact(name, value))),
  );
}

function numbers(hit) {
  const both = hit.vector_rank > 0 && hit.text_rank > 0;
  const known = [
    ["recall rank", whole(hit.recall_rank)],
    ["vector rank", both ? whole(hit.vector_rank) : null],
    ["keyword rank", both ? whole(hit.text_rank) : null],
    ["recall score", score(hit.recall_score)],
    ["rerank score", hit.rerank_score === null ? null : score(hit.rerank_score)],
    ["logit", hit.rerank_logit === null ? null : hit.rerank_logit.toFixed(3)],
    ["probability", hit.probability === null ? null : score(hit.probability)],
    ["sorted by", hit.score.toFixed(3)],
    ["id", hit.id],
  ];
  return known.filter(([, value]) => value !== null);
}

const fact = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));

// A value that a filter can name is a button that adds it to the filter.
function datum(name, value, filterable) {
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  const words = [element("span", { class: "name" }, name), element("bdi", {}, shown)];
  if (!filterable.has(name) || !["string", "number", "boolean"].includes(typeof value)) {
    return element("li", {}, element("span", {}, ...words));
  }
  const button = element("button", { type: "button", title: "Add to the filter" }, ...words);
  button.addEventListener("click", () => narrow(`${name} = ${literal(value)}`));
  return element("li", {}, button);
}

const literal = (value) =>
  typeof value === "string" ? `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : String(value);

function narrow(comparison) {
  const filter = byId("filter");
  if (filter.value.includes(comparison)) return;
  filter.value = filter.value.trim() ? `(${filter.value.trim()}) AND ${comparison}` : comparison;
  filter.dispatchEvent(new Event("change", { bubbles: true }));
}
