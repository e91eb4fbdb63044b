// Bundles each widget of src/ into an ES module of its own, with everything that it needs
// inside, so that nothing is fetched at run time. Called by hatch_build.py.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.resolve(here, process.argv[2] ?? "../src/kitepolars/widgets/static");
const widgets = ["table", "ladder", "chart", "search", "subscriptions", "monitor"];
const bundled = ["lightweight-charts", "fancy-canvas"];

async function licence(name) {
  const folder = path.join(here, "node_modules", name);
  const {
    version,
    license,
    homepage = "",
  } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const text = await readFile(path.join(folder, "LICENSE"), "utf8").catch(() => "");
  return `${name} ${version} (${license}) ${homepage}\n\n${text.trim()}\n`;
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: widgets.map((name) => `src/${name}.js`),
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  logLevel: "warning",
});
await copyFile(path.join(here, "src/widgets.css"), path.join(target, "widgets.css"));
const licences = await Promise.all(bundled.map(licence));
await writeFile(
  path.join(target, "THIRD_PARTY_LICENSES.txt"),
  licences.join(`\n${"-".repeat(79)}\n\n`),
);
