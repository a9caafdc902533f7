// What the page has to say besides results: problems, and answers that lack a stage.

import { byId, say } from "./dom.js";

const MISSING = {
  rerank_timeout: "The reranker did not answer in time: this is recall order.",
  rerank_unavailable: "The reranker is not available: this is recall order.",
  rerank_overloaded: "The reranker is full: this is recall order.",
  rerank_unreadable: "The reranker does not know the words of this question: this is recall order.",
  embed_unavailable: "The question could not be embedded: passages were found by their words.",
};

export const missing = (degraded) => degraded.map((reason) => MISSING[reason] ?? reason).join(" ");

// kind: "degraded", "problem", or "" for what is neither.
export function notice(text, kind = "") {
  say(byId("notice"), text);
  byId("notice").className = kind;
}

export function addToNotice(text) {
  byId("notice").append(` ${text}`);
}

export function filterProblem(text) {
  say(byId("filter-problem"), text);
  byId("filter").setAttribute("aria-invalid", String(Boolean(text)));
}

export function clear() {
  notice("");
  filterProblem("");
}

// For those who hear the page.
export function tell(text) {
  byId("status").textContent = text;
}
