// Remembers on disk what stood in a sysctl before us: the one thing that cannot be recognised in a kernel.

import { mkdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '#lib/durable';
import { codeOf } from '#lib/errors';
import type { Changes } from './changes.ts';
import type { RememberedSysctls } from './diff-rest.ts';
import { isItem } from './json.ts';
import { isDeviceKey } from './own.ts';

export interface SysctlMemory {
  readonly remembered: RememberedSysctls;
  /** Why nothing is remembered although a file is there. */
  readonly problem?: string;
}

export function memoryPath(stateDir: string): string {
  return join(stateDir, 'sysctls.json');
}

/**
 * Never rejects: a file that cannot be understood is put aside as `….bad` and reported, because a host whose network
 * waits for an operator is worse than one whose former sysctls are lost.
 */
export async function recallSysctls(path: string): Promise<SysctlMemory> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { remembered: {} };
    return { remembered: {}, problem: `it cannot be read (${String(error)})` };
  }
  const remembered = parseMemory(text);
  if (remembered !== undefined) return { remembered };
  await rename(path, `${path}.bad`).catch(() => {});
  return {
    remembered: {},
    problem: `it is truncated or damaged and was put aside as "${path}.bad"; sysctls that were changed before cannot be restored by clean`,
  };
}

/** Undefined where the text is not what {@link rememberSysctls} writes. */
export function parseMemory(text: string): RememberedSysctls | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isItem(value)) return undefined;
  const remembered: Record<string, { before: string; ours: string }> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (!isItem(entry)) return undefined;
    const { before, ours } = entry;
    if (typeof before !== 'string' || typeof ours !== 'string') return undefined;
    remembered[key] = { before, ours };
  }
  return remembered;
}

/** What to remember before these changes are made. A key keeps the value that it had before our first change. */
export function beforeChanges(remembered: RememberedSysctls, { sysctls }: Changes): RememberedSysctls {
  const more = { ...remembered };
  for (const { key, from, to, why } of sysctls) {
    if (why !== 'wanted' || from === undefined || isDeviceKey(key)) continue;
    more[key] = { before: more[key]?.before ?? from, ours: to };
  }
  return more;
}

/** What to remember once they are made: nothing of what is not wanted any more. */
export function afterChanges(
  remembered: RememberedSysctls,
  wanted: Readonly<Record<string, string>>,
): RememberedSysctls {
  return Object.fromEntries(Object.entries(remembered).filter(([key]) => Object.hasOwn(wanted, key)));
}

/** Atomic: a reader, and a kernel that stops at any point, sees the former file or this one. */
export async function rememberSysctls(path: string, remembered: RememberedSysctls): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, `${JSON.stringify(remembered, null, 2)}\n`, 0o600);
}
