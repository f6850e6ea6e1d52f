// Buttons that open dialogs (`data-opens`), and dialogs that close by a click beside them; an
// address may name one (`/tasks/ID#run`).
// Without script the style sheet has dialogs stand open on the page, and hides their buttons.

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (isBeside(event) || event.target.closest("[data-closes]")) {
    event.target.closest("dialog")?.close();
  }
  const copier = event.target.closest("[data-copies]");
  if (copier) copy(copier);
});

/** Whether a click on a dialog is one on what lies behind it. */
function isBeside(event) {
  if (!(event.target instanceof HTMLDialogElement) || !event.clientX) return false;
  const box = event.target.getBoundingClientRect();
  const inside = (low, at, high) => low <= at && at <= high;
  return !(inside(box.left, event.clientX, box.right) && inside(box.top, event.clientY, box.bottom));
}

async function copy(button) {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
  button.textContent = button.dataset.done;
}

const named = location.hash && document.getElementById(location.hash.slice(1));
if (named instanceof HTMLDialogElement) named.showModal();
