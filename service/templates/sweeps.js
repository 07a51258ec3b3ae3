document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const line = document.getElementById(button.dataset.copy);
  // Browsers have no clipboard for pages of plain http from another machine: there the line is selected.
  const copied = navigator.clipboard ? navigator.clipboard.writeText(line.textContent) : Promise.reject();
  copied.then(() => {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }, () => getSelection().selectAllChildren(line));
});
const moving = () => document.querySelector('[data-state="queued"], [data-state="running"]');
setInterval(async () => {
  if (document.hidden || !moving()) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const now of fresh.querySelectorAll("[data-sweep]")) {
    const old = document.getElementById(now.id);
    if (old && old.innerHTML !== now.innerHTML) old.replaceWith(now);
  }
}, 3000);
