// What every page does beside its forms: copy buttons, deleting by typing a name, telling what could not be had.
"use strict";

// <button class="copy" data-copy="#id">Copy</button> copies the text of the element with that id.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  if (!source) return;
  const said = button.dataset.said || button.textContent;
  button.dataset.said = said;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = said; }, 1600);
});

// <input data-confirm-value="name" data-confirms="#button"> opens the button once the name is typed.
for (const input of document.querySelectorAll("[data-confirm-value]")) {
  const button = document.querySelector(input.dataset.confirms);
  const look = () => { button.disabled = input.value.trim() !== input.dataset.confirmValue; };
  input.addEventListener("input", look);
  look();
}

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// What htmx could not get is told: what happened, and what to do. Parts that look again by themselves ([data-again])
// try again, after longer and longer pauses, unless what they show is gone.
{
  const SAID = {
    0: "The platform gave no answer. See whether you are connected, then load the page again to see how things stand.",
    403: "The page was open for too long, or cookies are off, so nothing was changed. Load it again and repeat what you did.",
    404: "What this page shows is gone: it was deleted, or has another name by now.",
    413: "That was more than can be taken at a time, so nothing was changed. Send less.",
    429: "Too much was asked for at once. Wait a minute, then go on.",
    503: "The platform can't do that now; websites serve on. Try again in a few seconds.",
  };
  const FAULT = "Something went wrong on our side. Load the page again; if it stays, the operator finds what it was in the platform's logs.";
  const AGAIN = "The platform gives no answer, so what you see here may be old. It is asked again by itself.";
  const FIRST_PAUSE = 2000, LONGEST_PAUSE = 60000;
  let pause = FIRST_PAUSE;

  const tell = (text, kind, gone) => {
    const box = document.createElement("p");
    const way = document.createElement("a");
    way.href = gone ? "/" : location.pathname + location.search;
    way.textContent = gone ? "To your websites" : "Load the page again";
    box.className = `notice ${kind}`;
    box.append(text, " ", way);
    document.getElementById("trouble").replaceChildren(box);
  };

  const failed = (element, status) => {
    const again = element.hasAttribute("data-again");
    const gone = status === 404;
    if (again && gone) element.remove();
    if (!again || gone) { tell(SAID[status === 502 || status === 504 ? 503 : status] ?? FAULT, "bad", gone); return; }
    tell(AGAIN, "warn", false);
    setTimeout(() => htmx.trigger(element, "again"), pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  };

  document.addEventListener("htmx:responseError", (event) => failed(event.detail.elt, event.detail.xhr.status));
  document.addEventListener("htmx:sendError", (event) => failed(event.detail.elt, 0));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful || !event.detail.requestConfig.elt.hasAttribute("data-again")) return;
    pause = FIRST_PAUSE;
    document.querySelector("#trouble .warn")?.remove();
  });
}
