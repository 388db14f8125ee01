// What was done in this tab: kept until it is closed, and brought back by a click.

import { element } from "./answer.js";

const KEY = "unblank-history";
const MOST = 50;

export class History {
  constructor(list, empty, restore) {
    this.list = list;
    this.empty = empty;
    this.restore = restore;
    this.entries = read();
    this.draw();
  }

  /** Add what was done: `{ model, text, shown }` and whatever brings it back. */
  add(entry) {
    this.entries = [entry, ...this.entries].slice(0, MOST);
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.entries));
    } catch {
      // A full or forbidden store: the list on the page still has it.
    }
    this.draw();
  }

  draw() {
    this.empty.hidden = this.entries.length > 0;
    this.list.replaceChildren(
      ...this.entries.map((entry) => {
        const button = element("button", { type: "button", textContent: entry.shown, title: entry.shown });
        button.addEventListener("click", () => this.restore(entry));
        const line = element("li", {});
        line.append(button);
        return line;
      }),
    );
  }
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}
