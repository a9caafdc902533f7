// The collections there are, and the picker of one.

import { byId, element } from "./dom.js";
import { collections } from "./gateway.js";
import { whole } from "./numbers.js";

const known = new Map();

// { count, weight: share of recall in the final order, filterable: names of the fields that filters may use }
export const chosen = () => known.get(byId("collection").value);

// Fills the picker; `wanted` is chosen where it exists, else the largest. How many there are. Throws Refusal.
export async function load(wanted) {
  const found = await collections();
  known.clear();
  for (const { name, count, fields, recall_weight } of found) {
    known.set(name, { count, weight: recall_weight, filterable: new Set(fields.map((field) => field.name)) });
  }
  const names = [...known.keys()].sort((a, b) => a.localeCompare(b));
  byId("collection").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  document.querySelector(".picker").hidden = names.length === 0;
  if (names.length > 0) {
    const largest = names.reduce((a, b) => (known.get(b).count > known.get(a).count ? b : a));
    byId("collection").value = known.has(wanted) ? wanted : largest;
    describe();
  }
  return names.length;
}

export function describe() {
  const { count, filterable } = chosen();
  byId("size").textContent = `${whole(count)} ${count === 1 ? "passage" : "passages"}`;
  const [first] = filterable;
  byId("filter").placeholder = first ? `${first} = …` : "this collection has no fields";
  byId("filter").title = first ? `Fields: ${[...filterable].join(", ")}` : "";
}
