"use strict";
// Without this all is there as well: it filters lists, opens and closes all of one, and opens what a link leads to.
for (const field of document.querySelectorAll("input[data-list]")) {
  const list = document.getElementById(field.dataset.list);
  const told = document.getElementById(field.dataset.list + "-count");
  const items = [...list.querySelectorAll("[data-words]")];
  field.closest(".tools").hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const item of items) {
      item.hidden = !words.every((word) => item.dataset.words.includes(word));
      shown += item.hidden ? 0 : 1;
    }
    told.textContent = shown + " of " + items.length;
  });
}
for (const button of document.querySelectorAll("button[data-list]")) {
  button.addEventListener("click", () => {
    const items = [...document.getElementById(button.dataset.list).querySelectorAll("details.item:not([hidden])")];
    const open = items.some((item) => !item.open);
    for (const item of items) {
      item.open = open;
    }
  });
}
const follow = () => {
  const item = document.getElementById(location.hash.slice(1));
  if (item && item.matches("details")) {
    item.hidden = false;
    item.open = true;
    item.scrollIntoView();
  }
};
window.addEventListener("hashchange", follow);
follow();
