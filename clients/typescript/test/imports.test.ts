import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";

it("what browsers import needs no Node.js", () => {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const read = (file: URL) => {
    if (seen.has(file.href)) {
      return;
    }
    seen.add(file.href);
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|.*\bfrom) ["']([^"']+)["'];$/gm)) {
      name.startsWith(".") ? read(new URL(name, file)) : packages.add(name);
    }
  };
  read(new URL("../src/web.js", import.meta.url));
  assert.ok(seen.size > 5);
  assert.deepEqual([...packages].filter((name) => !name.startsWith("@bufbuild/protobuf")), []);
});
