// Says on <body>, as JupyterLab does, which theme is shown: the widgets look there.
const tell = () => {
  document.body.dataset.jpThemeLight = String(document.documentElement.dataset.theme !== "dark");
};
tell();
new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-theme"] });
