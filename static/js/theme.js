// The theme: the system's, or the one this browser was given with the button.
const root = document.documentElement;
const themes = ["", "light", "dark", "contrast"];

function show(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
}

show(localStorage.getItem("theme") ?? "");
document.querySelector("[data-theme-next]")?.addEventListener("click", () => {
  const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
  localStorage.setItem("theme", next);
  show(next);
});
