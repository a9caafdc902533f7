// The API key: in this tab, for as long as it is open. It goes into one header and nowhere else.

const NAME = "siftline-key";
let memory = "";

export function key() {
  try {
    return sessionStorage.getItem(NAME) ?? memory;
  } catch {
    return memory; // storage is forbidden here
  }
}

export function keep(value) {
  memory = value;
  try {
    if (value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
  } catch {
    // then it lasts until the page is loaded again
  }
}
