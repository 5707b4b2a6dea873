// One YAML file against one schema, with the line of whatever is wrong.
// This module is pure.

import * as v from 'valibot';
import { LineCounter, isCollection, isMap, isPair, isScalar, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { messageOf } from '#lib/errors';
import { SiteError, fieldName } from './error.ts';

/** Larger than any site: a thousand nodes are a tenth of it. */
const LARGEST = 4 * 1024 * 1024;

type Path = readonly (string | number)[];

/** A document that fits its schema, and a way to refuse one of its fields all the same. */
export interface Checked<T> {
  readonly value: T;
  /** The error for the field at `path` (or the nearest thing that stands in the file). */
  readonly refuse: (path: Path, reason: string) => SiteError;
}

/** @throws {SiteError} for text that is not YAML, or does not fit the schema: the first fault in file order of checking */
export function parseYaml<S extends v.GenericSchema>(
  text: string,
  file: string,
  schema: S,
): Checked<v.InferOutput<S>> {
  if (text.length > LARGEST) {
    throw new SiteError({ file, line: 1, field: '' }, `it is larger than ${LARGEST} characters`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    throw new SiteError({ file, line: lines.linePos(fault.pos[0]).line, field: '' }, fault.message, {
      cause: fault,
    });
  }
  const refuse = (path: Path, reason: string): SiteError =>
    new SiteError({ file, line: lineOf(document, path, lines), field: fieldName(path) }, reason);
  const result = v.safeParse(schema, plain(document, file), { abortEarly: true });
  if (result.success) return { value: result.output, refuse };
  const [issue] = result.issues;
  throw refuse(pathOf(issue), describe(issue));
}

/** The document as JSON-like values. Aliases may multiply: the library bounds them, and says so by throwing. */
function plain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const reason = messageOf(cause);
    throw new SiteError({ file, line: 1, field: '' }, reason, { cause });
  }
}

function pathOf(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)));
}

function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.expected === 'never') return 'it is not a field that is known here';
  if (issue.kind === 'schema' && issue.received === 'undefined') return 'it is missing';
  if (issue.type === 'raw_transform') return issue.message;
  return `it is ${shown(issue.input)}; wanted ${issue.message}`;
}

/** The value for an error's text: short, and one line. */
function shown(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** Line of the deepest part of `path` that stands in the document; a mapping's field counts from its key. */
function lineOf(document: Document, path: Path, lines: LineCounter): number {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const step of path) {
    if (!isCollection(node)) break;
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
      : undefined;
    const item = isPair(pair) ? pair.key : isMap(node) ? undefined : node.get(step, true);
    if (item === undefined) break;
    offset = startOf(item) ?? offset;
    node = isPair(pair) ? pair.value : item;
  }
  return lines.linePos(offset ?? 0).line;
}

function startOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  const { range } = node;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined;
}
