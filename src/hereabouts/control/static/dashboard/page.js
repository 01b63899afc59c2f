// What every page does beside its forms: copy buttons, and deleting by typing a name.
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
