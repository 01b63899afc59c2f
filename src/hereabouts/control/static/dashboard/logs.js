// A log as it is written: pieces of it come as server-sent events, lines are only ever text.
"use strict";

{
  const MOST_LINES = 2000;
  const MOST_HELD = 200;
  const log = document.getElementById("log");
  const filter = document.getElementById("filter");
  const pause = document.getElementById("pause");
  const live = document.getElementById("live");
  const nothing = document.getElementById("nothing");
  let whole = !("open" in log.dataset);  // the last line has its end
  let held = [];  // pieces that came while it is paused

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };

  const judge = (line) => {
    line.hidden = filter.value !== "" && !line.textContent.toLowerCase().includes(filter.value.toLowerCase());
    line.classList.toggle("ours", line.textContent.startsWith("[hereabouts]"));
  };

  const add = (text, kind) => {
    const line = document.createElement("div");
    line.textContent = text;
    if (kind) line.className = kind; else judge(line);
    log.append(line);
  };

  const tellNothing = () => {
    nothing.hidden = [...log.children].some((line) => !line.hidden);
    nothing.textContent = filter.value ? `No line here holds “${filter.value}”.` : "Nothing is written here yet.";
  };

  const hold = (piece) => {
    held.push(piece);
    if (held.length <= MOST_HELD) return;
    const [lost, next] = held.splice(0, 2);
    held.unshift({...next, skipped: next.skipped + lost.skipped + lost.next - lost.offset});
  };

  const write = (piece) => {
    if (piece.rotated) { add("The log was begun anew.", "gap"); whole = true; }
    if (piece.skipped) { add(`${Math.ceil(piece.skipped / 1024)} kB left out.`, "gap"); whole = true; }
    const lines = piece.text.split("\n");
    const first = lines[0];
    if (!whole && log.lastElementChild) {
      log.lastElementChild.textContent += first;
      judge(log.lastElementChild);
      lines.shift();
    }
    const last = lines.pop();
    for (const line of lines) add(line);
    if (last !== undefined) {
      whole = last === "";
      if (!whole) add(last);
    }
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  };

  const show = (pieces) => {
    const follow = atEnd();
    pieces.forEach(write);
    tellNothing();
    if (follow) toEnd();
  };

  filter.addEventListener("input", () => {
    for (const line of log.children) if (!line.classList.contains("gap")) judge(line);
    tellNothing();
    toEnd();
  });
  filter.form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("apply").hidden = true;

  pause.hidden = false;
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    live.textContent = paused ? "Paused" : "Live";
    if (!paused) { show(held); held = []; }
  });

  for (const line of log.children) judge(line);
  toEnd();
  const stream = new EventSource(log.dataset.stream);
  let away;  // a stream ends now and then by itself: that is told only if it does not come back soon
  stream.addEventListener("open", () => {
    clearTimeout(away);
    if (pause.getAttribute("aria-pressed") !== "true") live.textContent = "Live";
  });
  stream.addEventListener("error", () => {
    clearTimeout(away);
    const closed = stream.readyState === EventSource.CLOSED;
    away = setTimeout(() => {
      live.textContent = closed ? "Not live any more: load the page again" : "Connecting again…";
    }, closed ? 0 : 2000);
  });
  stream.addEventListener("message", (event) => {
    const piece = JSON.parse(event.data);
    if (pause.getAttribute("aria-pressed") === "true") hold(piece);
    else show([piece]);
  });
}
