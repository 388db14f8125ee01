// A text with blanks as a list of parts, and what is pinned in them.

const BLANK = /(\[(?:MASK|sMASK|gMASK)\])/;

/** Return the parts of a text: `{ text }`, and `{ blank, kind }` counted from 0. */
export function partsOf(text) {
  let blank = 0;
  return text
    .split(BLANK)
    .filter((part) => part !== "")
    .map((part) => (BLANK.test(part) ? { blank: blank++, kind: part } : { text: part }));
}

export function countBlanks(text) {
  return partsOf(text).filter((part) => "blank" in part).length;
}

/** Return the text with what is pinned in place of its blanks. */
export function withPins(text, pins) {
  return partsOf(text)
    .map((part) => ("blank" in part ? (pins.get(part.blank) ?? part.kind) : part.text))
    .join("");
}

/** Return the numbers of the blanks that are still open: number k of the server is the k-th. */
export function openBlanks(text, pins) {
  return partsOf(text)
    .filter((part) => "blank" in part && !pins.has(part.blank))
    .map((part) => part.blank);
}

/**
 * Return the order of filling for the server from what a person wrote, or null if nothing.
 *
 * People count all blanks from 1; the server counts the open ones from 0.
 */
export function orderOf(written, open) {
  const numbers = written.split(/[\s,]+/).filter(Boolean).map(Number);
  if (numbers.length === 0) return null;
  const order = numbers.map((number) => open.indexOf(number - 1)).filter((place) => place >= 0);
  const isComplete = new Set(order).size === open.length && order.length === open.length;
  if (!isComplete) {
    const names = open.map((blank) => blank + 1).join(" ");
    throw new Error(`The order of blanks must name each open blank once: ${names}, in any order.`);
  }
  return order;
}

/** Return the text and the selection after the selected words have become a blank. */
export function blankOut(text, start, end, kind) {
  let [from, to] = [start, end];
  while (from < to && /\s/.test(text[from])) from++;
  while (to > from && /\s/.test(text[to - 1])) to--;
  if (from === to) {
    while (from > 0 && /[\p{L}\p{N}\p{M}]/u.test(text[from - 1])) from--;
    while (to < text.length && /[\p{L}\p{N}\p{M}]/u.test(text[to])) to++;
  }
  return { text: text.slice(0, from) + kind + text.slice(to), caret: from + kind.length };
}

/**
 * Return for one blank what the fillings put into it: `{ text, share }`, most likely first.
 *
 * The share is that of the fillings found, each of which counts once.
 */
export function alternativesOf(fillings, blank) {
  const seen = new Map();
  const best = Math.max(...fillings.map((filling) => filling.log_probability));
  const joint = new Map(fillings.map((filling) => [wholeOf(filling), filling]));
  let total = 0;
  for (const filling of joint.values()) {
    const weight = Math.exp(filling.log_probability - best);
    const text = filling.blanks[blank].text;
    seen.set(text, (seen.get(text) ?? 0) + weight);
    total += weight;
  }
  return [...seen]
    .map(([text, weight]) => ({ text, share: weight / total }))
    .sort((one, other) => other.share - one.share);
}

function wholeOf(filling) {
  return JSON.stringify(filling.blanks.map((blank) => blank.text));
}
