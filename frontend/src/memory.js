// What was chosen in a notebook: kept by the browser, so that it outlives the kernel and a new run.
const keyOf = (name) => `kitepolars ${location.pathname} ${name}`;

export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(name)));
  } catch {
    return null; // no storage, as in a page from disk, or not ours
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(keyOf(name), JSON.stringify(value));
  } catch {
    /* no storage, or it is full: the choice lasts as long as the view */
  }
}
