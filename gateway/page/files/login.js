// Where the gateway asks for a key: one field in place of the search.

import { byId, say } from "./dom.js";
import { keep, key } from "./session.js";

// reason: why the key that was there did not do.
export function ask(reason) {
  byId("login").hidden = false;
  byId("search").hidden = true;
  document.querySelector(".picker").hidden = true;
  byId("forget").hidden = true;
  say(byId("refused"), key() ? reason : "");
  byId("key").focus();
}

export function leave() {
  byId("login").hidden = true;
  byId("search").hidden = false;
  byId("forget").hidden = !key();
}

// changed: what to do when there is another key, or none any more.
export function listen(changed) {
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(byId("key").value.trim());
    byId("key").value = "";
    changed();
  });
  byId("forget").addEventListener("click", () => {
    keep("");
    changed();
  });
}
