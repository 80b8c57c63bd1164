#!/usr/bin/env node
/**
 * Fails when `frontend/build.mjs` and cargo-leptos make different pages: node frontend/same-page.mjs OWN LEPTOS names
 * the folders with what each has made. Scripts and styles come from different minifiers, so they are compared after one
 * minifier has been over both. The functions of a WASM file are in another order (`xtask/src/page.rs` says why), which
 * changes the length of calls; so what it imports, exports and holds as data is compared, and how many functions it has.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { DATA, FUNCTIONS, number, sections } from './wasm.mjs';

const require = createRequire(new URL('../end2end/package.json', import.meta.url)); // the npm packages are there
const { minify } = require('terser');
const { transform, browserslistToTargets } = require('lightningcss');
const [own, leptos] = process.argv.slice(2);

/** Lists the files of a page. Types are for those who write TypeScript against it, which nobody does. */
function files(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return paths.map((path) => relative(folder, path)).filter((name) => !/\.d\.ts(\.|$)/.test(name)).sort();
}

/** Returns what a file says, whoever minified it. */
async function meaning(folder, name) {
  const bytes = readFileSync(join(folder, name));
  if (name.endsWith('.css')) {
    const targets = browserslistToTargets(require('browserslist')('defaults and fully supports es6-module'));
    return Buffer.from(transform({ filename: name, code: bytes, minify: true, targets }).code);
  }
  if (name.endsWith('.js')) {
    // Names and layout differ; what the script does is in the order of its literals, properties and operators.
    const format = { beautify: true };
    const { code } = await minify(bytes.toString(), { module: true, compress: { passes: 3 }, mangle: true, format });
    return Buffer.from([...code.matchAll(/"[^"]*"|\.\w{3,}/g)].map(([part]) => part).sort().join('\n'));
  }
  if (name.endsWith('.wasm')) return shape(bytes);
  if (name.startsWith('pkg/__wasm_split')) return Buffer.from(bytes.toString().split('').sort().join('')); // names in any order
  return bytes;
}

/** Describes a WASM module whatever the order of its functions and the names of its imports. */
async function shape(bytes) {
  const module = await WebAssembly.compile(bytes);
  const imports = WebAssembly.Module.imports(module).map(({ module, kind }) => `${module} ${kind}`).sort();
  const exports = WebAssembly.Module.exports(module).map(({ name, kind }) => `${name} ${kind}`).sort();
  const rest = sections(bytes).map(({ id, content }) => {
    if (id === FUNCTIONS) return `${number(content, 0)[0]} functions`;
    return id === DATA ? content.toString('base64') : '';
  });
  return Buffer.from([...imports, ...exports, ...rest].join('\n'));
}

const [ours, theirs] = [files(own), files(leptos)];
const different = [...ours, ...theirs].filter((name) => !ours.includes(name) || !theirs.includes(name));
for (const name of ours.filter((name) => theirs.includes(name) && !/\.(br|gz)$/.test(name))) {
  if (!(await meaning(own, name)).equals(await meaning(leptos, name))) different.push(name);
}
if (different.length > 0) {
  console.error(`These differ between ${own} and ${leptos}: ${[...new Set(different)].join(', ')}`);
  process.exit(1);
}
const size = (folder) => files(folder).filter((name) => name.endsWith('.br')).map((name) => readFileSync(join(folder, name)).length);
const sum = (folder) => size(folder).reduce((all, bytes) => all + bytes, 0);
console.log(`Both make the same page of ${ours.length} files: ${sum(own)} bytes as brotli here, ${sum(leptos)} by cargo-leptos.`);
