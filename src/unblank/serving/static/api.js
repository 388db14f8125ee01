// The calls of the server that the playground makes. Every one throws an Error whose message a
// person can read; an aborted one throws an AbortError.

let key = "";

export function useKey(value) {
  key = value;
}

export async function listModels() {
  const answer = await (await call("GET", "v1/models")).json();
  return answer.data;
}

export async function fill(request, signal) {
  return (await call("POST", "v1/fill", request, signal)).json();
}

export async function generate(request, signal) {
  return (await call("POST", "v1/generate", request, signal)).json();
}

export async function score(request, signal) {
  return (await call("POST", "v1/score", request, signal)).json();
}

export async function view(request, signal) {
  return (await call("POST", "v1/view", request, signal)).json();
}

/** Yield `[kind, event]` of an answer that is streamed: "token" for each, then "result". */
export async function* stream(path, request, signal) {
  const response = await call("POST", path, { ...request, stream: true }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The connection ended before the answer did. Try again.");
    waiting += value;
    const messages = waiting.split("\n\n");
    waiting = messages.pop();
    for (const message of messages) {
      const lines = message.split("\n");
      const named = lines.find((line) => line.startsWith("event:"));
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      const event = JSON.parse(data.join("\n"));
      if (event.error) throw new Error(event.error.message);
      yield [named.slice(6).trim(), event];
      if (named.endsWith("result")) return;
    }
  }
}

async function call(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    const content = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(path, { method, headers, body: content, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  let message = `The server answered ${response.status} ${response.statusText}.`;
  try {
    const { error, detail } = await response.json();
    if (error?.message) message = error.message;
    else if (typeof detail === "string") message = detail;
  } catch {
    // No JSON: the status line has to do.
  }
  const problem = new Error(message);
  problem.status = response.status;
  return problem;
}
