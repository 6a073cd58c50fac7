// Of a report, where scripts run: formulas are drawn, code gets its colours. All is readable without.

for (const box of document.querySelectorAll("[data-rich]")) {
  const text = [...box.children].map((part) => part.textContent).join("\n\n");
  box.replaceWith(richText(text, box.className));
}
for (const box of document.querySelectorAll("[data-code]")) box.replaceWith(renderCode(box.textContent));
if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.setAttribute("open", "");
