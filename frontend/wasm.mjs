/** Reading and changing compiled WebAssembly (core specification, 5.5), as far as the build of the page needs it. */

/** Numbers of sections. */
export const [IMPORTS, FUNCTIONS, EXPORTS, DATA] = [2, 3, 7, 11];

const HEADER = 8; // bytes

/** Reads a LEB128 number. Returns it, and where the next byte is. */
export function number(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return [value, at];
  }
}

/** Lists the sections: each with its number and its content. */
export function sections(bytes) {
  const all = [];
  for (let at = HEADER; at < bytes.length; ) {
    const id = bytes[at++];
    const [size, begin] = number(bytes, at);
    all.push({ id, content: bytes.subarray(begin, begin + size) });
    at = begin + size;
  }
  return all;
}

/** Makes a module of sections. */
function module(header, all) {
  return Buffer.concat([header, ...all.flatMap(({ id, content }) => [Buffer.of(id), leb(content.length), content])]);
}

/** Renames what a module imports. `rename` gets the names of the module imported from and of the import. */
export function renameImports(bytes, rename) {
  const all = sections(bytes).map((section) => {
    if (section.id !== IMPORTS) return section;
    const old = section.content;
    let [count, at] = number(old, 0);
    const parts = [old.subarray(0, at)];
    const name = () => {
      const [length, begin] = number(old, at);
      at = begin + length;
      return old.subarray(begin, at).toString();
    };
    for (; count > 0; count--) {
      const [from, what] = [name(), name()];
      const kind = at;
      at = afterType(old, at);
      parts.push(text(from), text(rename(from, what)), old.subarray(kind, at));
    }
    return { id: section.id, content: Buffer.concat(parts) };
  });
  return module(bytes.subarray(0, HEADER), all);
}

/** Leaves out exports, by their names. What only they used is left for wasm-opt to remove. */
export function dropExports(bytes, isDropped) {
  const all = sections(bytes).map((section) => {
    if (section.id !== EXPORTS) return section;
    const old = section.content;
    let [count, at] = number(old, 0);
    const kept = [];
    for (; count > 0; count--) {
      const begin = at;
      const [length, name] = number(old, at);
      [, at] = number(old, name + length + 1); // behind the name its kind, and what it is
      if (!isDropped(old.subarray(name, name + length).toString())) kept.push(old.subarray(begin, at));
    }
    return { id: section.id, content: Buffer.concat([leb(kept.length), ...kept]) };
  });
  return module(bytes.subarray(0, HEADER), all);
}

/** Returns where the type of an import ends that begins with its kind at this byte. */
function afterType(bytes, at) {
  const limits = (at) => {
    const hasMost = bytes[at] & 1;
    const [, least] = number(bytes, at + 1);
    return hasMost ? number(bytes, least)[1] : least;
  };
  switch (bytes[at++]) {
    case 0: return number(bytes, at)[1]; // a function
    case 1: return limits(at + 1); // a table
    case 2: return limits(at); // a memory
    case 3: return at + 2; // a global
    default: return number(bytes, at + 1)[1]; // a tag
  }
}

function text(name) {
  const bytes = Buffer.from(name);
  return Buffer.concat([leb(bytes.length), bytes]);
}

function leb(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.of(...bytes, value);
}
