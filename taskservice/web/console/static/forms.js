// Conveniences of forms: a box that ticks all (`data-all`), how many are ticked (`data-counts`),
// and choices that send their form at once (`data-submits`).

const boxes = (name) => [...document.querySelectorAll(`input[type=checkbox][name="${name}"]`)];

function count() {
  for (const place of document.querySelectorAll("[data-counts]")) {
    const all = boxes(place.dataset.counts);
    const ticked = all.filter((box) => box.checked).length;
    place.textContent = place.dataset.text.replace("{count}", ticked);
    for (const button of place.closest("form").querySelectorAll(":scope > button")) {
      button.disabled = ticked === 0;
    }
    place.closest(".bulk")?.classList.toggle("idle", ticked === 0);
    const head = document.querySelector(`[data-all="${place.dataset.counts}"]`);
    if (head) {
      head.checked = ticked > 0 && ticked === all.length;
      head.indeterminate = ticked > 0 && ticked < all.length;
    }
  }
}

document.addEventListener("change", (event) => {
  const { all } = event.target.dataset;
  if (all) for (const box of boxes(all)) box.checked = event.target.checked;
  if ("submits" in event.target.dataset) event.target.form.requestSubmit();
  count();
});
document.addEventListener("taskservice:renewed", count);
count();
