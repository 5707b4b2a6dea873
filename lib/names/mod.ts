// Names as branded strings: whoever holds a ClusterId holds one RFC 1123 label.
// This module is pure.

declare const brand: unique symbol;

/** One RFC 1123 label (lower case letters, digits, inner hyphens; at most 63), made by {@link parseClusterId} only. */
export type ClusterId = string & { readonly [brand]: 'cluster-id' };

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Narrows text to a label. */
export function isClusterId(text: string): text is ClusterId {
  return LABEL.test(text);
}

/** @throws {SyntaxError} with what a label looks like */
export function parseClusterId(text: string): ClusterId {
  if (isClusterId(text)) return text;
  throw new SyntaxError(
    `Cannot use "${text}" as a cluster id: it is not a label of lower case letters, digits and inner hyphens, at most 63 long`,
  );
}
