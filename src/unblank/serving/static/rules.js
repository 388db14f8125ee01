// Rules on the answers in blanks: a list that a person adds to, sent with each fill.

import { element } from "./answer.js";

const EVERY = "";

/** The rules of the page; a blank counts from 0, as in the text, pinned ones included. */
export class Rules {
  constructor(list) {
    this.list = list;
    this.rules = [];
  }

  /** Add a rule; an empty value is none. */
  add(blank, name, value) {
    if (value.trim() === "") return;
    this.rules.push({ blank: blank === EVERY ? null : Number(blank), name, value: value.trim() });
    this.draw();
  }

  /** The rules on the open blanks, as the server reads them: `BLANK: NAME=VALUE`. */
  forOpen(open) {
    return this.rules
      .map(({ blank, name, value }) => ({ place: blank === null ? null : open.indexOf(blank), name, value }))
      .filter(({ place }) => place !== -1)
      .map(({ place, name, value }) => `${place === null ? "" : `${place}: `}${name}=${value}`);
  }

  draw() {
    this.list.replaceChildren(
      ...this.rules.map((rule, number) => {
        const where = rule.blank === null ? "every blank" : `blank ${rule.blank + 1}`;
        const line = element("li", { textContent: `${where}: ${rule.name}=${rule.value} ` });
        const remove = element("button", { type: "button", textContent: "Remove" });
        remove.setAttribute("aria-label", `Remove the rule ${rule.name}=${rule.value} on ${where}`);
        remove.addEventListener("click", () => {
          this.rules.splice(number, 1);
          this.draw();
        });
        line.append(remove);
        return line;
      }),
    );
  }
}
