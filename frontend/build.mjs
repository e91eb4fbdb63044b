// Bundles each widget of src/, and the script of exported pages, into an ES module of its own that
// imports nothing, so that nothing is fetched at run time. Called by hatch_build.py.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.resolve(here, process.argv[2] ?? "../kitepolars/widgets/static");
const entries = [
  "table",
  "ladder",
  "chart",
  "chain",
  "search",
  "subscriptions",
  "monitor",
  "transport",
  "alerts",
  "tape",
  "depth-map",
  "page",
];
const bundled = ["lightweight-charts", "fancy-canvas"];

// fancy-canvas names its licence, and has no file with its text.
const terms = {
  MIT: `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO
EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE
USE OR OTHER DEALINGS IN THE SOFTWARE.`,
};

async function licence(name) {
  const folder = path.join(here, "node_modules", name);
  const { version, license, author } = JSON.parse(
    await readFile(path.join(folder, "package.json"), "utf8"),
  );
  const text = await readFile(path.join(folder, "LICENSE"), "utf8").catch(() => terms[license]);
  const by = typeof author === "string" ? author : author.name;
  return `${name} ${version} (${license}), by ${by}\n\n${text.trim()}\n`;
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: entries.map((name) => `src/${name}.js`),
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
