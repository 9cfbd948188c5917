import type { DescEnum } from "@bufbuild/protobuf";

/**
 * Returns a value of an enum as JSON writes it: `pointwise` for `Scoring.POINTWISE`.
 *
 * @param schema Of the enum, such as `ScoringSchema`.
 */
export function enumWord(schema: DescEnum, value: number): string {
  const name = schema.value[value]?.name ?? String(value);
  return name.slice(schema.sharedPrefix?.length ?? 0).toLowerCase().replaceAll("_", "-");
}

/** Returns the value's name in the contract, of what JSON writes; as it is where the enum has no such value. */
export function enumName(schema: DescEnum, word: string): string {
  const name = `${schema.sharedPrefix ?? ""}${word}`.replaceAll("-", "_").toUpperCase();
  return schema.values.some((value) => value.name === name) ? name : word;
}
