// The searches that answer a question. While one types, one without the reranker shows recall order; once the question
// stands, both stages run, and the passages move from the one order to the other. Or two ways of recall are compared.

import { Refusal, search } from "./gateway.js";
import * as notices from "./notices.js";
import { milliseconds, whole } from "./numbers.js";
import * as results from "./results.js";
import * as timings from "./timings.js";
import { intoAddress, wishes } from "./wishes.js";

const PREVIEW_AFTER_MS = 120;
const SEARCH_AFTER_MS = 500;
const LONGEST_PAUSE_S = 30;

export const KEY_WANTED = "siftline-key-wanted"; // an event of the document: the gateway refused for want of a key

let running = new AbortController();
let timers = [];

// Ends what is under way, and what was to be tried again.
export function stop() {
  running.abort();
  running = new AbortController();
  timers.forEach(clearTimeout);
  timers = [];
}

// Once the question has stood still for a moment.
export function soon() {
  stop();
  if (!wishes().query) return nothing();
  if (!reranking()) return later(PREVIEW_AFTER_MS, compare);
  later(PREVIEW_AFTER_MS, preview);
  later(SEARCH_AFTER_MS, both);
}

export function now() {
  stop();
  if (!wishes().query) return nothing();
  if (!reranking()) return compare();
  preview();
  both();
}

// Tries something again after the seconds that the gateway asked for.
export function again(error, act) {
  notices.notice(error.message, "problem");
  if (!error.passing) return;
  const pause = Math.min(LONGEST_PAUSE_S, Math.max(1, error.retryAfter ?? 2));
  notices.addToNotice(`Trying again in ${pause} s.`);
  later(pause * 1000, act);
}

const reranking = () => wishes().against === "rerank";

function later(pause, act) {
  timers.push(setTimeout(act, pause));
}

function nothing() {
  notices.clear();
  intoAddress();
  results.hide();
}

async function preview() {
  const { signal } = running;
  const wanted = wishes();
  try {
    const found = await search(request(wanted, "off"), signal);
    if (signal.aborted) return;
    // What is being said stays: it may be why both stages are to be tried again.
    results.show(found, wanted.recall, { pending: found.hits.length > 0 });
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error;
    // the search with both stages will say what is wrong
  }
}

const both = () =>
  attempt(
    (wanted, signal) => search(request(wanted, "on"), signal),
    (found, wanted, seen) => {
      results.show(found, wanted.recall, { pending: false });
      timings.show(found.timings, seen);
      const moved = found.hits.filter((hit, place) => hit.recall_rank !== place + 1).length;
      const time = milliseconds(found.timings.total_us);
      report([found], wanted, `${whole(found.recalled)} passages in ${time}, ${moved} of them moved.`);
    },
  );

const compare = () =>
  attempt(
    (wanted, signal) =>
      Promise.all([wanted.recall, wanted.against].map((recall) => search(request({ ...wanted, recall }, "off"), signal))),
    ([left, right], wanted, seen) => {
      const common = results.compare(left, right, wanted);
      const slower = left.timings.total_us > right.timings.total_us ? left : right;
      timings.show(slower.timings, seen);
      report([left, right], wanted, `${common} of ${right.hits.length} passages are in both orders.`);
    },
  );

// Asks for what is wished for now, and shows it unless something else has been asked for meanwhile.
async function attempt(ask, show) {
  const { signal } = running;
  const wanted = wishes();
  intoAddress();
  results.busy(true);
  const started = performance.now();
  try {
    const found = await ask(wanted, signal);
    if (signal.aborted) return;
    const seen = performance.now() - started;
    stop(); // a preview that comes after its search tells nothing new
    notices.clear();
    show(found, wanted, seen);
  } catch (error) {
    if (error.name !== "AbortError") refused(error);
  }
}

function request({ collection, query, recall, depth, filter }, rerank) {
  return { collection, query, recall, filter, rerank, top_k: depth, recall_depth: depth };
}

// replies: of the gateway; told: what those hear who do not see.
function report(replies, { filter }, told) {
  const missing = notices.missing([...new Set(replies.flatMap((reply) => reply.degraded))]);
  notices.notice(missing, "degraded");
  if (replies.every((reply) => reply.hits.length === 0)) {
    notices.notice(filter ? "Nothing was found with this filter." : "Nothing was found.");
  }
  notices.tell(`${told} ${missing}`);
}

function refused(error) {
  if (!(error instanceof Refusal)) throw error;
  results.abandon();
  if (error.status === 401) document.dispatchEvent(new CustomEvent(KEY_WANTED, { detail: error.message }));
  else if (error.field === "filter") notices.filterProblem(error.message.replace(/^filter: /, ""));
  else again(error, now);
}
